"""The means of the deactivation table over the classification and over the generation tasks."""

import argparse
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.bootstrap import percentile_interval
from taskneurons.tables.common import METHODS, Predictions, Published, read_predictions, table_command

KINDS = {"accuracy": "classification", "rougeL": "generation"}


def mean_of_tasks(scores: list[np.ndarray], settings: dict[str, Any]) -> dict[str, float]:
    """The mean over tasks of each task's mean; every replicate resamples the test examples within each task.

    Args:
        scores: one array (runs, examples) a task.
    """
    rng = np.random.default_rng(0)
    per_example = [task.mean(axis=0) for task in scores]
    replicates = [
        task[rng.integers(len(task), size=(settings["bootstrap"], len(task)))].mean(axis=1) for task in per_example
    ]
    low, high = percentile_interval(np.mean(replicates, axis=0), settings["confidence"])
    return {"value": float(np.mean([task.mean() for task in per_example])), "ci_low": low, "ci_high": high}


def _row(method: str, tasks: list[Predictions], spec: dict[str, Any], published: Published) -> dict[str, Any]:
    chosen = [one.method_conditions(method) for one in tasks]
    cells = [published.cells(method=method, task=one.shown["counterpart"]) for one in tasks]
    return {
        "model": spec["model"],
        "method": method,
        "kind": KINDS[tasks[0].shown["metric"]],
        **mean_of_tasks([one.scores(*names) for one, names in zip(tasks, chosen, strict=True)], spec["tables"]),
        "n_seeds": tasks[0].n_seeds(),
        "n_draws": len(chosen[0]) if method == "deactivate-random" else 0,
        **pd.DataFrame(cells).astype(float).mean(skipna=False).to_dict(),
        "n_tasks": len(tasks),
    }


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a method and kind of task; a published mean is over the counterparts of the same tasks."""
    spec, published = arguments.spec, Published(arguments.published)
    tasks = read_predictions(arguments.predictions, spec["tasks"])
    kinds = [[one for one in tasks if one.shown["metric"] == metric] for metric in KINDS]
    return [_row(method, group, spec, published) for group in kinds if group for method in METHODS]


if __name__ == "__main__":
    table_command(
        __doc__,
        {"predictions": "predictions of the originals on every task", "published": "the paper's figures (CSV)"},
        rows,
    )
