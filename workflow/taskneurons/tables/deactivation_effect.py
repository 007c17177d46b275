"""How much more a task's own neurons matter than random ones: its score with random ones off less with its own off."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import TableSettings, difference_row, read_predictions


def rows(settings: TableSettings, *, original_predictions: list[Path]) -> list[dict[str, Any]]:
    """One row a task, in points; positive where switching off the task's own neurons hurts more."""
    tasks = read_predictions(original_predictions, settings.tasks)
    return [difference_row(one, one.random_conditions(), [one.task], settings) for one in tasks]
