"""The means of the deactivation table over the classification and over the generation tasks."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import Published, TableSettings, by_kind, means_row, read_predictions
from taskneurons.tables.deactivation import METHODS


def rows(settings: TableSettings, *, original_predictions: list[Path], published: Path) -> list[dict[str, Any]]:
    """One row a method and kind of task."""
    figures = Published(published)
    kinds = by_kind(read_predictions(original_predictions, settings.tasks))
    return [
        means_row(method, tasks, [one.method_conditions(method) for one in tasks], settings, figures)
        for tasks in kinds
        for method in METHODS
    ]
