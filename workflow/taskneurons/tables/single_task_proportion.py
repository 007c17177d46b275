"""Figure 6: single tasks, each trained alone on a growing proportion of its own neurons."""

import argparse
from typing import Any

from taskneurons.tables.common import Predictions, read_predictions, table_command, value_and_interval


def _row(one: Predictions, percent: float, condition: str, n_seeds: int, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": one.shown["name"],
        "metric": one.shown["metric"],
        "proportion_pct": percent,
        **value_and_interval(one.scores(condition), spec["tables"]),
        "n_seeds": n_seeds,
        "n_test": one.facts["n_test"],
    }


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a task and proportion of its neurons, in percent; at 0 it is the base model (zero-shot)."""
    spec = arguments.spec
    base = {one.task: one for one in read_predictions(arguments.base, spec["tasks"])}
    result = []
    for one in read_predictions(arguments.tuned, spec["tasks"]):
        result.append(_row(base[one.task], 0.0, "none", 0, spec))
        result += [_row(one, float(k), f"top{k:g}", one.n_seeds(), spec) for k in sorted(spec["percents"])]
    return result


if __name__ == "__main__":
    table_command(
        __doc__,
        {
            "base": "predictions of the base model on the tasks",
            "tuned": "predictions of the models tuned at each proportion",
        },
        rows,
    )
