"""How much more a task's own neurons matter than random ones: its score with random ones off less with its own off."""

import argparse
from typing import Any

from taskneurons.tables.common import difference_row, read_predictions, table_command


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a task, in points; positive where switching off the task's own neurons hurts more."""
    spec = arguments.spec
    tasks = read_predictions(arguments.predictions, spec["tasks"])
    return [difference_row(one, one.random_conditions(), [one.task], spec) for one in tasks]


if __name__ == "__main__":
    table_command(__doc__, {"predictions": "predictions of the originals on every task"}, rows)
