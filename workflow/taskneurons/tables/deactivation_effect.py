"""How much more a task's own neurons matter than random ones: its score with random ones off less with its own off."""

import argparse
from typing import Any

from taskneurons.tables.common import read_predictions, table_command, value_and_interval


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a task, in points; positive where switching off the task's own neurons hurts more."""
    spec = arguments.spec
    result = []
    for one in read_predictions(arguments.predictions, spec["tasks"]):
        draws = one.random_conditions()
        difference = one.scores(*draws).mean(axis=0) - one.scores(one.task).mean(axis=0)
        result.append(
            {
                "task": one.shown["name"],
                "metric": one.shown["metric"],
                **value_and_interval(difference, spec["tables"]),
                "n_seeds": one.n_seeds(),
                "n_draws": len(draws),
                "n_test": one.facts["n_test"],
            }
        )
    return result


if __name__ == "__main__":
    table_command(__doc__, {"predictions": "predictions of the originals on every task"}, rows)
