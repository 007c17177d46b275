"""How much more training a task's own neurons brings than training as many random ones."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import TableSettings, difference_row, read_predictions


def rows(settings: TableSettings, *, tuned_predictions: list[Path]) -> list[dict[str, Any]]:
    """One row a task, in points; positive where training the task's own neurons is better."""
    tasks = read_predictions(tuned_predictions, settings.tasks)
    return [difference_row(one, [one.task], one.random_conditions(), settings) for one in tasks]
