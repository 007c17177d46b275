"""Figure 5: the score of every task with every task's neurons off, and its change, on the same test examples."""

import argparse
from typing import Any

from taskneurons.tables.common import change_columns, read_predictions, table_command


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a pair of tasks: value is the score, change is value less the original's score, in points."""
    spec = arguments.spec
    tasks = read_predictions(arguments.predictions, spec["tasks"])
    limit = spec["cross_task_examples"]
    return [
        {
            "masked_task": masked.shown["name"],
            **change_columns(one, one.scores(masked.task)[:, :limit], one.scores("none"), spec),
        }
        for masked in tasks
        for one in tasks
    ]


if __name__ == "__main__":
    table_command(__doc__, {"predictions": "predictions of the originals on every task"}, rows)
