"""Figure 5: the score of every task with every task's neurons off, and its change, on the same test examples."""

import argparse
from typing import Any

from taskneurons.tables.common import read_predictions, table_command, value_and_interval


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a pair of tasks: value is the score, change is value less the original's score, in points."""
    spec = arguments.spec
    tasks = read_predictions(arguments.predictions, spec["tasks"])
    limit = spec["cross_task_examples"]
    result = []
    for masked in tasks:
        for one in tasks:
            off = one.scores(masked.task)[:, :limit]
            original = one.scores("none")[:, : off.shape[1]]
            change = value_and_interval((off - original).mean(axis=0), spec["tables"])
            result.append(
                {
                    "masked_task": masked.shown["name"],
                    "task": one.shown["name"],
                    "metric": one.shown["metric"],
                    "value": float(off.mean()),
                    "change": change["value"],
                    "change_ci_low": change["ci_low"],
                    "change_ci_high": change["ci_high"],
                    "n_seeds": one.n_seeds(),
                    "n_draws": 0,
                    "n_test": off.shape[1],
                }
            )
    return result


if __name__ == "__main__":
    table_command(__doc__, {"predictions": "predictions of the originals on every task"}, rows)
