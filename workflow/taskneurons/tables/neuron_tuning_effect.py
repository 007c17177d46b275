"""How much more training a task's own neurons brings than training the neurons of a control set.

The primary measure is fixed beforehand: own less random matched in each layer, k = 10 %, one
epoch, each kind of set at the learning rate that validation loss chose for it, mean over tasks with tasks resampled.
All other rows are exploratory.
"""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.tables.common import Predictions, TableSettings, difference_row, read_predictions, value_and_interval
from taskneurons.tables.neuron_tuning import METHODS, RATES, tuned_conditions

OWN = "own"
MEAN = "mean over tasks"


def is_primary(against: str, rate: str, settings: TableSettings) -> bool:
    """Whether a mean over tasks is the primary measure, which is of one k and one epoch."""
    budget = settings["selection.k"], settings["neuron_tuning.training.epochs"]
    return (against, rate) == ("random", "tuned") and budget == (10, 1)


def mean_row(
    against: str, rate: str, tasks: list[Predictions], differences: list[dict[str, Any]], settings: TableSettings
) -> dict[str, Any]:
    """The mean of the tasks' differences; its interval resamples tasks."""
    values = np.array([row["value"] for row in differences])
    return {
        "task": MEAN,
        "metric": ", ".join(dict.fromkeys(one.shown["metric"] for one in tasks)),
        "against": against,
        "rate": rate,
        "measure": "primary" if is_primary(against, rate, settings) else "exploratory",
        **value_and_interval(values, settings),
        "n_seeds": differences[0]["n_seeds"],
        "n_draws": differences[0]["n_draws"],
        "n_test": sum(row["n_test"] for row in differences),
        "n_tasks": len(tasks),
    }


def rows(settings: TableSettings, *, tuned_predictions: list[Path]) -> list[dict[str, Any]]:
    """One row a control set, learning rate and task, and one over several tasks, in points; positive: own is better."""
    tasks = read_predictions(tuned_predictions, settings.tasks)
    result = []
    for against in (kind for kind in METHODS.values() if kind != OWN):
        for rate in RATES:
            chosen = [(tuned_conditions(one, OWN, rate), tuned_conditions(one, against, rate)) for one in tasks]
            if not all(first and second for first, second in chosen):
                continue
            found = [difference_row(one, *names, settings) for one, names in zip(tasks, chosen, strict=True)]
            if len(tasks) > 1:
                result.append(mean_row(against, rate, tasks, found, settings))
            said = {"against": against, "rate": rate, "measure": "exploratory"}
            result += [{"task": row["task"], "metric": row["metric"], **said, **row, "n_tasks": 1} for row in found]
    return result
