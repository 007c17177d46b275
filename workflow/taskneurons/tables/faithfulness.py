"""Faithfulness of every criterion: does its order of the neurons agree with the exact effects of switching them off?"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from taskneurons.artifacts import read_frame
from taskneurons.tables.common import table_command


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


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a state, criterion and task."""
    spec = arguments.spec
    result = []
    for path in arguments.comparisons:
        frame, facts = read_frame(path, "faithfulness")
        for criterion in frame.columns.drop(["layer", "expert", "neuron", "exact"]):
            result.append(
                {
                    "state": facts["state"],
                    "criterion": criterion,
                    "task": spec["tasks"][facts["task"]]["name"],
                    **agreement(frame, criterion, spec["top"]),
                    "n_neurons": len(frame),
                    "n_examples": facts["n_examples"],
                }
            )
    return result


if __name__ == "__main__":
    table_command(__doc__, {"comparisons": "comparisons of every state and task"}, rows)
