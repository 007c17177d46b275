"""Figure 5: the score of every task after training every task's neurons, and its change from zero-shot.

Two readings: task i's neurons trained on task i's data ("own-data"), or on the data of the task that is tested
("tested-data"); the second is there if the run made it.
"""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import Predictions, TableSettings, change_columns, read_predictions


def conditions(tuned: str, one: Predictions) -> dict[str, str]:
    """The readings of a cell that the run has, each with its condition."""
    own = "own-tuned"
    readings = (
        {"own-data": own, "tested-data": own}
        if tuned == one.task
        else {"own-data": tuned, "tested-data": f"{tuned}-on-{one.task}"}
    )
    return {reading: name for reading, name in readings.items() if name in one.conditions}


def rows(
    settings: TableSettings, *, base_predictions: list[Path], tuned_predictions: list[Path]
) -> list[dict[str, Any]]:
    """One row a reading and pair of tasks: value is the score, change is value less zero-shot, in points."""
    limit = settings["evaluation.cross_task_examples"]
    base = {one.task: one for one in read_predictions(base_predictions, settings.tasks)}
    tasks = read_predictions(tuned_predictions, settings.tasks)
    found: dict[str, list[dict[str, Any]]] = {"own-data": [], "tested-data": []}
    for tuned in tasks:
        for one in tasks:
            for reading, name in conditions(tuned.task, one).items():
                scores = one.scores(name)[:, :limit]
                cell = change_columns(one, scores, base[one.task].scores("none"), settings)
                found[reading].append({"reading": reading, "tuned_task": tuned.shown["name"], **cell})
    # Without the cross trainings the second reading has its diagonal only, which the first one has too.
    whole = len(found["tested-data"]) == len(tasks) ** 2
    return [*found["own-data"], *(found["tested-data"] if whole else [])]
