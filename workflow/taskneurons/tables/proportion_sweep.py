"""Figure 2: groups of tasks trained together on growing proportions of their neurons, tested in and out of domain.

A curve is the mean over its tasks of the tasks' means: ID-<group> over the group's own tasks, OOD-<group> over a test
group's, and the mean of both where they have the same name. Its peak is the trained proportion at which it is best.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings
from taskneurons.tables.intervals import percentile_interval, resampled_examples

UNITS = {"score": 100.0, "loss": 1.0}  # points; nats
BEST = {"score": np.argmax, "loss": np.argmin}  # of several alike the first


def read_sweeps(paths: list[Path]) -> dict[str, pd.DataFrame]:
    """Train group → the rows of all its trainings."""
    found: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        frame, made = read_frame(path, "measures of trained groups")
        found.setdefault(made["group"], []).append(frame)
    return {group: pd.concat(frames, ignore_index=True) for group, frames in found.items()}


def task_means(rows: pd.DataFrame, replicates: int) -> dict[str, np.ndarray]:
    """Task → its means at every proportion: (n_proportions, 1 + replicates), of all its examples first.

    Means over seeds. A replicate has the same examples at all proportions.
    """
    found = {}
    for task, of_task in rows.groupby("task", sort=False):
        examples = of_task.pivot_table(index="proportion", columns="id", values="value").to_numpy()
        chosen = resampled_examples(str(task), examples.shape[1], replicates)
        found[str(task)] = np.stack([values[chosen].mean(axis=1) for values in examples])
    return found


def curves_of(group: str, groups: dict[str, dict[str, list[str]]]) -> dict[str, list[list[str]]]:
    """Name of a curve → the groups of tasks whose means it is the mean of."""
    own = groups["train"][group]
    found = {f"ID-{group}": [own]} | {f"OOD-{name}": [tasks] for name, tasks in groups["test"].items()}
    if group in groups["test"]:
        found[f"mean of ID-{group} and OOD-{group}"] = [own, groups["test"][group]]
    return found


def peak(values: np.ndarray, proportions: list[float], measure: str, confidence: float) -> dict[str, float]:
    """The trained proportion at which a curve is best, and the interval of that place over the replicates.

    Args:
        values: (n_proportions, 1 + replicates), without the untrained model.
    """
    places = np.array(proportions)[BEST[measure](values, axis=0)]
    tail = (100 - confidence) / 2
    # Places that were tried, and none between them.
    low, high = np.percentile(places[1:], [tail, 100 - tail], method="inverted_cdf")
    return {"peak_pct": float(places[0]), "peak_ci_low": float(low), "peak_ci_high": float(high)}


def rows(settings: TableSettings, *, proportion_sweeps: list[Path], published: Path) -> list[dict[str, Any]]:
    """One row a train group, curve, measure and proportion; at 0 it is the base model (zero-shot)."""
    paper = pd.read_csv(published).set_index(["group", "curve"])["peak_pct"]
    result = []
    for group, sweep in read_sweeps(proportion_sweeps).items():
        for measure, unit in UNITS.items():
            measured = sweep[sweep["measure"] == measure]
            if measured.empty:
                continue
            means = task_means(measured, settings["tables.bootstrap"])
            for curve, parts in curves_of(group, settings["groups"]).items():
                values = unit * np.mean([np.mean([means[task] for task in tasks], axis=0) for tasks in parts], axis=0)
                tasks = [task for part in parts for task in part]
                shown = {"group": group, "curve": curve, "measure": measure}
                of_curve = measured[measured["task"].isin(tasks)]
                result += _curve(shown, values, of_curve, settings, paper.get((group, curve)))
    return result


def _curve(
    shown: dict[str, Any], values: np.ndarray, rows: pd.DataFrame, settings: TableSettings, paper: float | None
) -> list[dict[str, Any]]:
    """The rows of one curve.

    Args:
        values: (n_proportions, 1 + replicates), the untrained model first.
        rows: the measures behind it.
    """
    confidence = settings["tables.confidence"]
    proportions = sorted(rows["proportion"].unique())
    best = peak(values[1:], proportions[1:], shown["measure"], confidence)
    trained = rows.groupby("proportion")[["n_neurons", "learning_rate", "at_edge"]].first()
    found = []
    for proportion, (value, *replicates) in zip(proportions, values, strict=True):
        low, high = percentile_interval(np.array(replicates), confidence)
        found.append(
            {
                **shown,
                "proportion_pct": proportion,
                "value": value,
                "ci_low": low,
                "ci_high": high,
                "n_tasks": rows["task"].nunique(),
                "n_test": len(rows[["task", "id"]].drop_duplicates()),
                "n_seeds": rows["seed"].nunique() if proportion else 0,
                "n_neurons": trained.loc[proportion, "n_neurons"],
                "learning_rate": trained.loc[proportion, "learning_rate"],
                "rate_at_edge": bool(trained.loc[proportion, "at_edge"]),
                **best,
                "paper_peak_pct": paper,
            }
        )
    return found
