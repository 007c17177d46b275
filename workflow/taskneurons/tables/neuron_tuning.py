"""Tables 2 and 7: every task zero-shot, and with neurons of the base model trained: random, its own, and other sets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskneurons.tables.common import Predictions, Published, TableSettings, method_row, read_predictions

# Method → the kind of set that it trains.
METHODS = {
    "train-random": "random",
    "train-task": "own",
    "train-contrastive": "contrastive",
    "train-other-family": "other-family",
    "train-without-universal": "without-universal",
}
RATES = ("tuned", "common")
ZERO_SHOT = "zero-shot"


def tuned_conditions(one: Predictions, kind: str, rate: str) -> list[str]:
    """The conditions of a task with sets of a kind trained on its data; none where the run has no such sets."""
    if kind == "random":
        return [name for name in one.random_conditions() if name.endswith(f"-{rate}")]
    return [name for name in (f"{kind}-{rate}",) if name in one.conditions]


def cells(
    settings: TableSettings, base_predictions: list[Path], tuned_predictions: list[Path]
) -> Iterator[tuple[str, str | None, list[Predictions], list[list[str]]]]:
    """Every method and rate that the run has: its tasks, and the conditions of each."""
    base = read_predictions(base_predictions, settings.tasks)
    yield ZERO_SHOT, None, base, [one.method_conditions(ZERO_SHOT) for one in base]
    tuned = read_predictions(tuned_predictions, settings.tasks)
    for method, kind in METHODS.items():
        for rate in RATES:
            chosen = [tuned_conditions(one, kind, rate) for one in tuned]
            if all(chosen):
                yield method, rate, tuned, chosen


def with_rate(row: dict[str, Any], rate: str | None, one: Predictions, conditions: list[str]) -> dict[str, Any]:
    """The row with the learning rate (its peak) behind its method; zero-shot has none, and no trainings.

    Args:
        one, conditions: a task of the row, and its conditions.
    """
    peak = one.provenance["learning_rates"][conditions[0]] if rate else None
    found = {"model": row["model"], "method": row["method"], "rate": rate, "learning_rate": peak, **row}
    return found if rate else {**found, "n_seeds": 0}


def rows(
    settings: TableSettings, *, base_predictions: list[Path], tuned_predictions: list[Path], published: Path
) -> list[dict[str, Any]]:
    """One row a method, learning rate and task; the paper's methods first, in its order."""
    figures = Published(published)
    return [
        with_rate(method_row(one, method, names, settings, figures), rate, one, names)
        for method, rate, tasks, chosen in cells(settings, base_predictions, tuned_predictions)
        for one, names in zip(tasks, chosen, strict=True)
    ]
