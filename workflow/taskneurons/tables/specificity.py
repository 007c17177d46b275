"""Specificity: a task's mean score with another task's neurons off, less its score with its own off, in points.

Random neurons are a weak control, because any task's neurons may be neurons that every task needs. The sharper
question is whether a task suffers more from losing its own neurons than from losing another task's. Positive values
say that it does; the other tasks are taken from its own family, and from the other families.
"""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import TableSettings, read_predictions, value_and_interval


def rows(settings: TableSettings, *, original_predictions: list[Path]) -> list[dict[str, Any]]:
    """One row a task and relation; a task without another one in its relation has none. All on the same examples."""
    tasks = read_predictions(original_predictions, settings.tasks)
    limit = settings["evaluation.cross_task_examples"]
    result = []
    for one in tasks:
        own = one.scores(one.task)[:, :limit].mean(axis=0)
        for relation in ("same-family", "other-family"):
            same = relation == "same-family"
            others = [
                other.task
                for other in tasks
                if other.task != one.task and (other.shown["family"] == one.shown["family"]) == same
            ]
            if not others:
                continue
            difference = one.scores(*others)[:, :limit].mean(axis=0) - own
            result.append(
                {
                    "task": one.shown["name"],
                    "relation": relation,
                    **value_and_interval(difference, settings),
                    "n_seeds": one.n_seeds(),
                    "n_draws": 0,
                    "n_sets": len(others),
                    "n_test": len(difference),
                }
            )
    return result
