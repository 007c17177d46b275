"""Train growing proportions of a group's neurons on its tasks together (Figure 2).

A proportion's set is the union of the training tasks' top p % of the base model. One row an example of a tested task:
kind (none: the base model as it is; union, own: how the set was trained), proportion (percent; 0 of the base model),
n_neurons, task, measure (loss, in nats; score, 0–1), id, value, seed.
"""

from pathlib import Path
from typing import Literal

from taskneurons.generalisation.group_tuning import (
    GroupSettings,
    TrainedSet,
    read_group,
    read_scores,
    tune_group,
    write_measures,
)
from taskneurons.neurons.neuron_set import top_share
from taskneurons.selection.overlap_sets import Scores, union_of_tops


class SweepSettings(GroupSettings):
    """What the sweep depends on.

    Attributes:
        group: the name of the group of training tasks.
        percents: the proportions.
        reading: union: all examples train the union; own: each task's examples train its own top p % alone.
    """

    group: str
    percents: list[float]
    reading: Literal["union", "own"]


def proportions(settings: SweepSettings, scores: Scores, widths: tuple[int, ...]) -> list[TrainedSet]:
    """The sets, from the smallest proportion to the largest."""
    found = []
    for percent in sorted(settings.percents):
        union = union_of_tops(scores, settings.train, percent, widths, settings.scope)
        columns = {"kind": settings.reading, "proportion": float(percent), "n_neurons": len(union)}
        of_tasks = {task: top_share(scores[task], percent, widths, settings.scope) for task in settings.train}
        found.append(TrainedSet(columns, union, of_tasks if settings.reading == "own" else {}))
    return found


def main(
    settings: SweepSettings,
    *,
    base: Path,
    data: list[Path],
    validation: list[Path],
    tests: list[Path],
    scores: list[Path],
    rates: Path,
    checkpoints: Path,
    measures: Path,
) -> None:
    """Write the measures of all proportions.

    Args:
        scores: of the training tasks, by the base model.
        measures: to write; the others as in `read_group`.
    """
    group = read_group(settings, base, data, validation, tests, rates, checkpoints)
    sets = proportions(settings, *read_scores(scores))
    frame = tune_group(group, sets, f"proportions of {settings.group}").fillna({"proportion": 0.0})
    write_measures(measures, frame, group, group=settings.group)
