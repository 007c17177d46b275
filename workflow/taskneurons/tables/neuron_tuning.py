"""Tables 2 and 7: every task zero-shot, with random neurons of the base model trained, and with its own trained."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import Predictions, Published, TableSettings, method_row, read_predictions

METHODS = ("zero-shot", "train-random", "train-task")


def by_method(
    settings: TableSettings, base_predictions: list[Path], tuned_predictions: list[Path]
) -> dict[str, list[Predictions]]:
    """The predictions of every task that a method's rows are made of."""
    base = read_predictions(base_predictions, settings.tasks)
    tuned = read_predictions(tuned_predictions, settings.tasks)
    return {method: base if method == "zero-shot" else tuned for method in METHODS}


def without_training(method: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row, with no trainings in zero-shot."""
    return {**row, "n_seeds": 0} if method == "zero-shot" else row


def rows(
    settings: TableSettings, *, base_predictions: list[Path], tuned_predictions: list[Path], published: Path
) -> list[dict[str, Any]]:
    """One row a method and task, in the paper's order."""
    figures = Published(published)
    return [
        without_training(method, method_row(one, method, one.method_conditions(method), settings, figures))
        for method, tasks in by_method(settings, base_predictions, tuned_predictions).items()
        for one in tasks
    ]
