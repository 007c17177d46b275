"""Train growing proportions of a group's neurons on its tasks together (Figure 2).

A proportion's set is the union of the training tasks' top p % of the base model, trained at the learning rate that was
chosen for it (`sweep_rates.py`). One row an example of a tested task: kind (none: the base model as it is; union, own:
how the set was trained), proportion (percent; 0 of the base model), n_neurons, learning_rate, at_edge, task, measure
(loss, in nats; score, 0–1), id, value, seed.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from taskneurons.core.artifacts import read_frame
from taskneurons.generalisation.group_tuning import (
    KIND,
    GroupSettings,
    TrainedSet,
    read_group,
    read_scores,
    tune_group,
    write_trained,
)
from taskneurons.neurons.neuron_set import top_share
from taskneurons.selection.overlap_sets import Scores, union_of_tops

RATES = "learning rates of proportions"


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


def set_of(percent: float, rate: float, settings: SweepSettings, scores: Scores, widths: tuple[int, ...]) -> TrainedSet:
    """A proportion's set, to be trained at a learning rate."""
    union = union_of_tops(scores, settings.train, percent, widths, settings.scope)
    columns = {"kind": settings.reading, "proportion": percent, "n_neurons": len(union), "learning_rate": rate}
    own = {}
    if settings.reading == "own":
        own = {task: top_share(scores[task], percent, widths, settings.scope) for task in settings.train}
    return TrainedSet(columns, union, rate, own)


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
        rates: the learning rates that were chosen for the group's proportions.
        measures: to write; the others as in `read_group`.
    """
    group = read_group(settings, base, data, validation, tests, checkpoints)
    values, widths = read_scores(scores)
    chosen = read_frame(rates, RATES)[0].query("chosen").groupby("proportion").first()
    sets = []
    for percent in sorted(settings.percents):
        one = set_of(percent, chosen.loc[percent, "learning_rate"], settings, values, widths)
        sets.append(replace(one, columns=one.columns | {"at_edge": chosen.loc[percent, "at_edge"]}))
    frame = tune_group(group, sets, f"proportions of {settings.group}")
    frame = frame.fillna({"proportion": 0.0}).astype({"at_edge": "boolean"}).fillna({"at_edge": False})
    write_trained(measures, frame, KIND, group, group=settings.group)
