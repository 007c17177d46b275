"""How well each kind of set has learnt at which budget: learning rate, steps, and k; and how much better than random.

Validation losses alone: no test example is read.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings, value_and_interval
from taskneurons.tables.neuron_tuning import METHODS, RATES

KINDS = list(METHODS.values())
RANDOM = "random"


def read_losses(paths: list[Path]) -> pd.DataFrame:
    """One row a point of a training: rate, k, trained_pct, kind, task, step, validation_loss; without crossed sets."""
    frame = pd.concat([read_frame(path, "validation losses")[0] for path in paths], ignore_index=True)
    return frame[frame["kind"].isin(KINDS)]


def by_task(found: pd.DataFrame) -> pd.Series:
    """The tasks' losses, means over draws and seeds."""
    return found.groupby("task", sort=False)["validation_loss"].mean()


def row(found: pd.DataFrame, random: pd.Series, settings: TableSettings) -> dict[str, Any]:
    """The columns of one kind of set at one budget; of one task alone there is no interval.

    Args:
        found: its rows of `read_losses`.
        random: the tasks' losses with random sets at the same budget.
    """
    kind, losses = found["kind"].iloc[0], by_task(found)
    less: dict[str, float | None] = {"less": None, "ci_low": None, "ci_high": None}
    if kind != RANDOM and len(losses) > 1:
        interval = value_and_interval((random.loc[losses.index] - losses).to_numpy(), settings)
        less = {"less": interval["value"], "ci_low": interval["ci_low"], "ci_high": interval["ci_high"]}
    return {
        "steps": found["step"].mean(),
        "kind": kind,
        "value": losses.mean(),
        **less,
        "n_tasks": len(losses),
    }


def budgets(curve: str, losses: pd.DataFrame, settings: TableSettings) -> list[dict[str, Any]]:
    """One row a budget and kind of set."""
    result = []
    for (rate, k, trained), found in losses.groupby(["rate", "k", "trained_pct"]):
        random = by_task(found[found["kind"] == RANDOM])
        result += [
            {
                "curve": curve,
                "rate": rate,
                "k": k,
                "trained_pct": trained,
                **row(found[found["kind"] == kind], random, settings),
            }
            for kind in KINDS
            if kind in set(found["kind"])
        ]
    return sorted(result, key=lambda row: RATES.index(row["rate"]))


def rows(settings: TableSettings, *, curves: list[Path]) -> list[dict[str, Any]]:
    """The curves over steps, at selection.k and of all tasks, and over k, at the end and of the tasks that have it."""
    losses = read_losses(curves)
    at_k = losses["k"] == settings["selection.k"]
    others = losses[~at_k]
    over_k = losses[
        losses["task"].isin(others["task"]) & losses["kind"].isin(others["kind"]) & (losses["trained_pct"] == 100)
    ]
    return budgets("steps", losses[at_k], settings) + budgets("k", over_k, settings)
