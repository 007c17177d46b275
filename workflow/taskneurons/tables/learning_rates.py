"""The learning rates that were tried for every kind of set, and the one that validation loss chose."""

from pathlib import Path
from typing import Any

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings
from taskneurons.tables.neuron_tuning_effect import MEAN


def rows(settings: TableSettings, *, learning_rates: list[Path]) -> list[dict[str, Any]]:
    """One row a kind of set, rate and task, and one over the tasks, which decides."""
    result = []
    for path in learning_rates:
        frame, provenance = read_frame(path, "learning rates")
        for rate, found in frame.groupby("learning_rate"):
            losses = {settings.tasks[task]["name"]: loss for task, loss in found[["task", "validation_loss"]].values}
            chosen = rate == provenance["learning_rate"]
            result += [
                {
                    "kind": provenance["set_kind"],
                    "learning_rate": rate,
                    "task": task,
                    "validation_loss": float(loss),
                    "chosen": chosen,
                    "at_edge": chosen and provenance["at_edge"],
                    "n_tasks": len(found) if task == MEAN else 1,
                }
                for task, loss in ({MEAN: found["validation_loss"].mean()} | losses).items()
            ]
    return result
