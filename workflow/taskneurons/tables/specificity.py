"""Specificity: a task's mean score with another task's neurons off, less its score with its own off, in points.

Random neurons are a weak control, because any task's neurons may be neurons that every task needs. The sharper
question is whether a task suffers more from losing its own neurons than from losing another task's. Positive values
say that it does; the other tasks are taken from its own family, and from the other families.
"""

import argparse
from typing import Any

from taskneurons.tables.common import read_predictions, table_command, value_and_interval


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a task and relation; a task without another one in its relation has none. All on the same examples."""
    spec = arguments.spec
    tasks = read_predictions(arguments.predictions, spec["tasks"])
    limit = spec["cross_task_examples"]
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
                    **value_and_interval(difference, spec["tables"]),
                    "n_seeds": one.n_seeds(),
                    "n_draws": 0,
                    "n_sets": len(others),
                    "n_test": len(difference),
                }
            )
    return result


if __name__ == "__main__":
    table_command(__doc__, {"predictions": "predictions of the originals on every task"}, rows)
