"""Faithfulness of every criterion: does its order of the neurons agree with the exact effects of switching them off?"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings


def recall(values: np.ndarray, exact: np.ndarray, top: float) -> float:
    """The share of the `top` % of neurons with the largest exact effect that are in the criterion's top as well.

    Equal values are ordered by place.
    """
    size = max(1, round(len(exact) * top / 100))
    best, found = (set(np.argsort(-column, kind="stable")[:size]) for column in (exact, values))
    return len(best & found) / size


def agreement(frame: pd.DataFrame, criterion: str, top: float) -> dict[str, float]:
    """Spearman's correlation of a criterion with the exact effect (0 if one is constant), and its recall."""
    values, exact = frame[criterion].to_numpy(), frame["exact"].to_numpy()
    constant = np.ptp(values) == 0 or np.ptp(exact) == 0
    correlation = 0.0 if constant else float(spearmanr(values, exact).statistic)
    return {"spearman": correlation, "recall": recall(values, exact, top)}


def rows(settings: TableSettings, *, faithfulness: list[Path]) -> list[dict[str, Any]]:
    """One row a state, criterion and task."""
    result = []
    for path in faithfulness:
        frame, provenance = read_frame(path, "faithfulness")
        for criterion in frame.columns.drop(["layer", "expert", "neuron", "exact"]):
            result.append(
                {
                    "state": provenance["state"],
                    "criterion": criterion,
                    "task": settings.tasks[provenance["task"]]["name"],
                    **agreement(frame, criterion, settings["faithfulness.top"]),
                    "n_neurons": len(frame),
                    "n_examples": provenance["n_examples"],
                }
            )
    return result
