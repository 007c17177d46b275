"""Tables 2 and 7: every task zero-shot, with random neurons of the base model trained, and with its own trained."""

import argparse
from typing import Any

from taskneurons.tables.common import Predictions, Published, method_row, read_predictions, table_command

METHODS = ("zero-shot", "train-random", "train-task")


def by_method(arguments: argparse.Namespace) -> dict[str, list[Predictions]]:
    """The predictions of every task that a method's rows are made of."""
    base = read_predictions(arguments.base, arguments.spec["tasks"])
    tuned = read_predictions(arguments.tuned, arguments.spec["tasks"])
    return {method: base if method == "zero-shot" else tuned for method in METHODS}


def without_training(method: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row, with no trainings in zero-shot."""
    return {**row, "n_seeds": 0} if method == "zero-shot" else row


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a method and task, in the paper's order."""
    spec, published = arguments.spec, Published(arguments.published)
    return [
        without_training(method, method_row(one, method, one.method_conditions(method), spec, published))
        for method, tasks in by_method(arguments).items()
        for one in tasks
    ]


INPUTS = {
    "base": "predictions of the base model on every task",
    "tuned": "predictions of the tuned models on every task",
}

if __name__ == "__main__":
    table_command(__doc__, {**INPUTS, "published": "the paper's figures (CSV)"}, rows)
