"""Tables 1 and 6: every task with the model as it is, with the task's own neurons off, and with random ones off."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import Published, TableSettings, method_row, read_predictions

METHODS = ("original", "deactivate-random", "deactivate-task")


def rows(settings: TableSettings, *, original_predictions: list[Path], published: Path) -> list[dict[str, Any]]:
    """One row a method and task, in the paper's order."""
    figures = Published(published)
    tasks = read_predictions(original_predictions, settings.tasks)
    return [
        method_row(predictions, method, predictions.method_conditions(method), settings, figures)
        for method in METHODS
        for predictions in tasks
    ]
