"""The zero-shot rows of Tables 2 and 7: the base model as it is."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import Published, TableSettings, method_row, read_predictions


def rows(settings: TableSettings, *, base_predictions: list[Path], published: Path) -> list[dict[str, Any]]:
    """One row a task. No training is involved: n_seeds is 0."""
    figures = Published(published)
    tasks = read_predictions(base_predictions, settings.tasks)
    return [{**method_row(one, "zero-shot", ["none"], settings, figures), "n_seeds": 0} for one in tasks]
