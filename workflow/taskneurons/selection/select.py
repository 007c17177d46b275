"""Select every task's neurons by one rule (section 1 of the paper)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.config.settings import StepSettings, percent_text
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.core.named import named
from taskneurons.neurons.mask_file import of_model, write_mask
from taskneurons.selection.comparison import Comparison


class SelectionSettings(StepSettings):
    """What the sets depend on.

    Attributes:
        rule: a file of `rules/`.
        k: in percent.
        families: task → family.
    """

    rule: str
    k: float
    families: dict[str, str]
    scope: str
    core_share: float


def read_values(paths: list[Path], kind: str, tasks: list[str]) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The files of all tasks by task, and the provenance of the last."""
    found = {}
    provenance: dict[str, Any] = {}
    for path in paths:
        frame, provenance = read_frame(path, kind)
        found[provenance["task"]] = frame
    if missing := [task for task in tasks if task not in found]:
        raise UserError(f"no file of {kind} is of the task {missing[0]!r}")
    return found, provenance


def compared_values(
    settings: SelectionSettings, scores: list[Path], activations: list[Path]
) -> tuple[np.ndarray, dict[str, Any]]:
    """The values that the rule looks at, (n_tasks, n_neurons), and the provenance of the scores.

    Raises:
        UserError: a task's file is missing.
    """
    tasks = list(settings.families)
    frames, provenance = read_values(scores, "scores", tasks)
    column = named("selection.rules", settings.rule).VALUES
    if column == "attribution":
        column = "score"
    else:
        frames, _ = read_values(activations, "activations", tasks)
    return np.stack([frames[task][column].to_numpy() for task in tasks]), provenance


def main(settings: SelectionSettings, *, scores: list[Path], activations: list[Path], masks: list[Path]) -> None:
    """Write one mask a task.

    Args:
        scores, activations: of the tasks in `families`; no activations where the rule looks at scores.
        masks: the files to write; a file's folder is its task, its stem its rule and k.

    Raises:
        UserError: a task's file is missing, or the masks are not those of the tasks.
    """
    values, provenance = compared_values(settings, scores, activations)
    select = named("selection.rules", settings.rule).select
    tasks, families = list(settings.families), list(settings.families.values())
    wanted = {(task, f"{settings.rule}{percent_text(settings.k)}"): task for task in tasks}
    files = {(path.parent.name, path.stem): path for path in masks}
    if set(wanted) != set(files):
        raise UserError(f"the masks {sorted(files)} are not those of the tasks, {sorted(wanted)}")
    widths = tuple(provenance["widths"])
    for own, (name_of_file, task) in enumerate(wanted.items()):
        compared = Comparison(values, own, families, widths, settings.scope, settings.core_share)
        name = {"set": task, "task": task, "rule": settings.rule, "k": settings.k}
        write_mask(
            files[name_of_file],
            select(compared, settings.k),
            provenance["experts"],
            values[own],
            {"spec": settings.spec(), **name, **of_model(provenance)},
        )
