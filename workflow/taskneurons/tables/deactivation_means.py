"""The means of the deactivation table over the classification and over the generation tasks."""

import argparse
from typing import Any

import pandas as pd

from taskneurons.bootstrap import mean_of_means_interval
from taskneurons.tables.common import METHODS, Predictions, Published, read_predictions, table_command

KINDS = {"accuracy": "classification", "rougeL": "generation"}


def _row(method: str, tasks: list[Predictions], spec: dict[str, Any], published: Published) -> dict[str, Any]:
    chosen = [one.method_conditions(method) for one in tasks]
    groups = [one.scores(*names).mean(axis=0) for one, names in zip(tasks, chosen, strict=True)]
    value, low, high = mean_of_means_interval(groups, spec["tables"]["bootstrap"], spec["tables"]["confidence"])
    cells = [published.cells(method=method, task=one.shown["counterpart"]) for one in tasks]
    return {
        "model": spec["model"],
        "method": method,
        "kind": KINDS[tasks[0].shown["metric"]],
        "value": value,
        "ci_low": low,
        "ci_high": high,
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
