"""A task's sets of equal own damage: of every rule, reference and ablation the k that costs their own task as much.

The rule of choice, which is fixed beforehand: a curve is the mean loss of the task's validation
examples with its own set off, less that of the model as it is, against k (`deactivation/own_damage.py`). It begins with
0 at k = 0; between k of the grid it is linear in log k, below the smallest linear in k. The target is the smallest own
damage that any of the eight curves (ablation × reference × rule) has at the largest k of the grid, so that all of them
reach it, and the k of each is the first at which its curve does. Beside each set as many random neurons are drawn, to
be switched off in its place on its task. Where the target is not positive (some set does no
harm at all), no k is equal: the masks are empty, with k = 0.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.neurons.mask_file import of_model, write_mask
from taskneurons.neurons.neuron_set import random_set
from taskneurons.selection.task_sets import TaskSetsSettings, read_task_sets

WAY = ["rule", "reference", "ablation"]
RANDOM_LIKE = "random-like-"


class EqualDamageSettings(TaskSetsSettings):
    """What the sets depend on; `seed` is that of the random ones."""

    seed: int


def curves_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The own damage, mean over examples: one row a rule, reference and ablation, one column a k, in rising order.

    Args:
        frame: as `deactivation/own_damage.py` writes it.
    """
    losses = frame.groupby([*WAY, "k"])["value"].mean()
    whole = losses["none", "none", "none", 0.0]
    return (losses.drop("none") - whole).unstack("k").sort_index(axis="columns")


def first_crossing(percents: np.ndarray, damages: np.ndarray, target: float) -> float:
    """The smallest k at which a curve reaches a positive target, which it does at its last k.

    Args:
        percents: k > 0, rising.
        damages: at each of them.
    """
    reached = int(np.argmax(damages >= target))
    if reached == 0:
        return float(percents[0] * target / damages[0])
    low, high = damages[reached - 1], damages[reached]
    logs = np.log(percents[[reached - 1, reached]])
    return float(np.exp(logs[0] + (logs[1] - logs[0]) * (target - low) / (high - low)))


def main(
    settings: EqualDamageSettings,
    *,
    own_damage: Path,
    scores: list[Path],
    scores_from_mean: list[Path],
    masks: list[Path],
    masks_from_mean: list[Path],
) -> None:
    """Write two masks a rule, reference and ablation: the task's set, and a random one of the same size.

    Args:
        own_damage: of the task.
        scores, scores_from_mean: of all tasks, by each reference.
        masks, masks_from_mean: the files to write, by each reference; a file's stem is <rule>-equal-<ablation>,
            with random-like- before it for the random one.

    Raises:
        UserError: a task's scores are missing, or the masks are not those of the curves.
    """
    frame, _ = read_frame(own_damage, "own damage")
    curves = curves_of(frame)
    target = float(curves.iloc[:, -1].min())
    percents = curves.columns.to_numpy(dtype=float)
    sets = read_task_sets(settings, scores, scores_from_mean)
    files = {("zero", path.stem): path for path in masks} | {("mean", path.stem): path for path in masks_from_mean}
    wanted = {
        (reference, f"{random}{rule}-equal-{ablation}")
        for rule, reference, ablation in curves.index
        for random in ("", RANDOM_LIKE)
    }
    if wanted != set(files):
        raise UserError(f"the masks {sorted(files)} are not those of the curves, {sorted(wanted)}")
    for (rule, reference, ablation), damages in curves.iterrows():
        k = first_crossing(percents, damages.to_numpy(), target) if target > 0 else 0.0
        made, name = sets.made[reference], f"{rule}-equal-{ablation}"
        neurons = sets.at(rule, reference, k)
        random = random_set(
            len(neurons), neurons.widths, [settings.seed, *f"{settings.task}/{reference}/{name}".encode()]
        )
        common = {
            **{"spec": settings.spec(), "task": settings.task, "matched_k": k, "matching": "own damage"},
            **{"ablation": ablation, "target": target, **of_model(made)},
        }
        own = {**common, "set": settings.task, "rule": rule}
        write_mask(files[reference, name], neurons, made["experts"], sets.own_scores(reference), own)
        drawn = {**common, "set": "random-0", "rule": f"{RANDOM_LIKE}{rule}", "draw": 0}
        write_mask(files[reference, f"{RANDOM_LIKE}{name}"], random, made["experts"], None, drawn)
