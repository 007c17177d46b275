"""Figure 6: single tasks, each trained alone on a growing proportion of its own neurons."""

from pathlib import Path
from typing import Any

from taskneurons.config.settings import percent_text
from taskneurons.tables.common import Predictions, TableSettings, read_predictions, value_and_interval


def _row(one: Predictions, percent: float, condition: str, n_seeds: int, settings: TableSettings) -> dict[str, Any]:
    return {
        "task": one.shown["name"],
        "metric": one.shown["metric"],
        "proportion_pct": percent,
        **value_and_interval(one.scores(condition), settings),
        "n_seeds": n_seeds,
        "n_test": one.provenance["n_test"],
    }


def rows(
    settings: TableSettings, *, base_predictions: list[Path], proportion_predictions: list[Path]
) -> list[dict[str, Any]]:
    """One row a task and proportion of its neurons, in percent; at 0 it is the base model (zero-shot)."""
    base = {one.task: one for one in read_predictions(base_predictions, settings.tasks)}
    result = []
    for one in read_predictions(proportion_predictions, settings.tasks):
        result.append(_row(base[one.task], 0.0, "none", 0, settings))
        result += [
            _row(one, float(k), f"top{percent_text(k)}", one.n_seeds(), settings)
            for k in sorted(settings["neuron_tuning.proportions.percents"])
        ]
    return result
