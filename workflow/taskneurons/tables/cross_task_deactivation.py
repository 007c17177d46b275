"""Figure 5: the score of every task with every task's neurons off, and its change, on the same test examples."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import TableSettings, change_columns, read_predictions


def rows(settings: TableSettings, *, original_predictions: list[Path]) -> list[dict[str, Any]]:
    """One row a pair of tasks: value is the score, change is value less the original's score, in points."""
    tasks = read_predictions(original_predictions, settings.tasks)
    limit = settings["evaluation.cross_task_examples"]
    return [
        {
            "masked_task": masked.shown["name"],
            **change_columns(one, one.scores(masked.task)[:, :limit], one.scores("none"), settings),
        }
        for masked in tasks
        for one in tasks
    ]
