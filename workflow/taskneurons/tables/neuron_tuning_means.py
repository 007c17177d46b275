"""The means of the neuron tuning table over the classification and over the generation tasks."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import Published, TableSettings, by_kind, means_row
from taskneurons.tables.neuron_tuning import by_method, without_training


def rows(
    settings: TableSettings, *, base_predictions: list[Path], tuned_predictions: list[Path], published: Path
) -> list[dict[str, Any]]:
    """One row a kind of task and method."""
    figures = Published(published)
    result = [
        without_training(method, means_row(method, kind, settings, figures))
        for method, tasks in by_method(settings, base_predictions, tuned_predictions).items()
        for kind in by_kind(tasks)
    ]
    return sorted(result, key=lambda row: row["kind"])
