"""The learning rate of a kind of set, chosen by validation loss, so that every kind is trained as well as it can be.

The rule of choice, which is fixed beforehand: the kind's set is trained on every task at every rate of the
grid; the rate with the lowest loss on validation examples at the end of the training, mean over tasks, is the kind's.
Where that is the smallest or the largest rate tried, one more is tried beyond it, by the ratio of it and its neighbour,
up to so many times at either end. A training that diverges counts as an infinite loss. Only train and validation
examples are read, never the test split.
"""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from taskneurons.config.settings import DeviceSettings, RateSearch, StepSettings, TuningLoop
from taskneurons.core.artifacts import write_frame
from taskneurons.core.content import content_hash
from taskneurons.core.errors import UserError
from taskneurons.data.task import read_task
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.training.loop import DivergedError
from taskneurons.tuning.watched import Finished, Job, Kept, pairs_of, train_set


class SearchSettings(StepSettings):
    """What the chosen rate depends on.

    Attributes:
        kind: of the sets.
        examples: the most train examples of a task; 0 for all.
    """

    kind: str
    training: TuningLoop
    rates: RateSearch
    examples: int
    seed: int
    compute: DeviceSettings


def extended(rates: list[float], best: float) -> float:
    """The rate beyond an end of the sorted rates, by the ratio of `best`, the end, and its neighbour."""
    neighbour = rates[1] if best == rates[0] else rates[-2]
    return float(f"{best * best / neighbour:.4g}")


def search(losses_at: Callable[[float], list[float]], settings: RateSearch) -> tuple[dict[float, list[float]], float]:
    """Try rates until the best is no end of those tried, or the grid was extended often enough.

    Args:
        losses_at: the tasks' losses at a rate.

    Returns:
        Rate → the tasks' losses, in rising order; and the best rate, the smallest of equal ones.
    """
    losses = {rate: losses_at(rate) for rate in sorted(settings.grid)}
    left = {"low": settings.extensions, "high": settings.extensions}
    while True:
        tried = sorted(losses)
        best = min(tried, key=lambda rate: float(np.mean(losses[rate])))
        end = {tried[0]: "low", tried[-1]: "high"}.get(best)
        if end is None or not left[end]:
            return {rate: losses[rate] for rate in tried}, best
        left[end] -= 1
        beyond = extended(tried, best)
        losses[beyond] = losses_at(beyond)


def final_loss(base: LoadedModel, neurons: NeuronSet, job: Job, settings: SearchSettings, folder: Path) -> float:
    """The validation loss at the end of a training; infinite where it diverges."""
    made = [settings.spec(), base.identity, job.task, job.settings.learning_rate, job.pairs, job.validation]
    key = content_hash([*made, np.flatnonzero(neurons.selected).tolist()])
    name = f"{job.task}-{job.settings.learning_rate:g}"
    kept = Kept(folder, name, key, with_delta=False)
    finished = kept.finished()
    if finished is None:
        what = f"{settings.kind} on {job.task} at {job.settings.learning_rate:g}"
        try:
            finished = train_set(base, neurons, job, what, kept.checkpoint)
        except DivergedError:
            finished = Finished(pd.DataFrame(), pd.DataFrame({"validation_loss": [math.inf]}))
        finished = kept.keep(finished)
    loss = float(finished.curve["validation_loss"].iloc[-1])
    return loss if math.isfinite(loss) else math.inf


def main(
    settings: SearchSettings,
    *,
    base: Path,
    data: list[Path],
    validation: list[Path],
    masks: list[Path],
    checkpoints: Path,
    rates: Path,
) -> None:
    """Choose the learning rate of a kind of set.

    Args:
        base: the base model's folder.
        data, validation, masks: the train split, the validation split and the set of each task.
        checkpoints: a folder for what a killed job had done.
        rates: the losses of all trainings, to write.

    Raises:
        UserError: every training diverges at every rate.
    """
    loaded = load_model(base, settings.compute)
    tasks, sets = [read_task(path) for path in data], [read_mask(path)[0] for path in masks]
    pairs = [pairs_of(task, loaded, settings.examples) for task in tasks]
    watched = [pairs_of(read_task(path), loaded, settings.training.validation) for path in validation]

    def losses_at(rate: float) -> list[float]:
        training = settings.training.at(rate)
        jobs = [
            Job(task.key, own, looked_at, training, settings.seed, points=1)
            for task, own, looked_at in zip(tasks, pairs, watched, strict=True)
        ]
        return [
            final_loss(loaded, neurons, job, settings, checkpoints) for neurons, job in zip(sets, jobs, strict=True)
        ]

    losses, chosen = search(losses_at, settings.rates)
    if not math.isfinite(float(np.mean(losses[chosen]))):
        raise UserError(
            f"{settings.kind}: at every learning rate ({', '.join(f'{rate:g}' for rate in losses)}) some training "
            "diverges: take smaller ones in neuron_tuning.rates.grid"
        )
    frame = pd.DataFrame(
        [
            {"kind": settings.kind, "task": task.key, "learning_rate": rate, "validation_loss": loss}
            for rate, of_tasks in losses.items()
            for task, loss in zip(tasks, of_tasks, strict=True)
        ]
    )
    said = {"set_kind": settings.kind, "learning_rate": chosen, "at_edge": chosen in (min(losses), max(losses))}
    write_frame(rates, frame, "learning rates", {"spec": settings.spec(), "seed": settings.seed, **said})
    shutil.rmtree(checkpoints)
