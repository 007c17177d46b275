"""Tables 1 and 6: every task with the model as it is, with the task's own neurons off, and with random ones off."""

import argparse
from typing import Any

from taskneurons.tables.common import Published, method_row, read_predictions, table_command

METHODS = ("original", "deactivate-random", "deactivate-task")


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a method and task, in the paper's order."""
    spec, published = arguments.spec, Published(arguments.published)
    tasks = read_predictions(arguments.predictions, spec["tasks"])
    return [
        method_row(predictions, method, predictions.method_conditions(method), spec, published)
        for method in METHODS
        for predictions in tasks
    ]


if __name__ == "__main__":
    table_command(
        __doc__,
        {"predictions": "predictions of the originals on every task", "published": "the paper's figures (CSV)"},
        rows,
    )
