"""The configurations of every method of continual learning that were tried on validation examples."""

from pathlib import Path
from typing import Any

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings
from taskneurons.tables.continual_runs import METHODS


def place(method: str) -> int:
    """Where a method stands among all."""
    return METHODS.index(method) if method in METHODS else len(METHODS)


def rows(settings: TableSettings, *, continual_tunings: list[Path]) -> list[dict[str, Any]]:
    """One row a method and configuration, accuracies in points."""
    found = [read_frame(path, "continual tuning") for path in continual_tunings]
    result = []
    for frame, made in sorted(found, key=lambda one: place(one[1]["method"])):
        tasks = " → ".join(settings.tasks[task]["name"] for task in made["tasks"])
        result += [
            {
                "method": made["method"],
                "tasks": tasks,
                "learning_rate": row.learning_rate,
                "knob_name": made["knob_name"],
                "knob": row.knob,
                "accuracy": 100 * row.accuracy,
                "standard_error": 100 * row.standard_error,
                "chosen": bool(row.chosen),
                "at_edge": bool(row.at_edge),
            }
            for row in frame.sort_values(["learning_rate", "knob"]).itertuples()
        ]
    return result
