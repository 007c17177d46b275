"""How much more training a task's own neurons brings than training as many random ones."""

import argparse
from typing import Any

from taskneurons.tables.common import difference_row, read_predictions, table_command


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a task, in points; positive where training the task's own neurons is better."""
    spec = arguments.spec
    tasks = read_predictions(arguments.tuned, spec["tasks"])
    return [difference_row(one, [one.task], one.random_conditions(), spec) for one in tasks]


if __name__ == "__main__":
    table_command(__doc__, {"tuned": "predictions of the tuned models on every task"}, rows)
