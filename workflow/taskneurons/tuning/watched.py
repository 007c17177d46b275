"""One training of a set of neurons of the base model, whose validation loss is measured on the way.

The curve of losses is made by hooks of the training loop, goes into its checkpoints, and so is the same for a training
that was killed and went on.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from taskneurons.config.settings import LoopSettings
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import Pair
from taskneurons.data.task import Task
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import Trained, mean_loss, train
from taskneurons.tuning.delta import Delta, read_delta, trained_delta, write_delta
from taskneurons.tuning.trained_neurons import TrainedNeurons, entries_put_back, trained_neurons

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What a training of a set depends on besides the model and the set.

    Attributes:
        task: the task's key.
        pairs: the train examples.
        validation: the examples whose loss is measured.
        settings: of the loop, with the learning rate.
        seed: the training's.
        points: how many steps of the curve are measured.
    """

    task: str
    pairs: list[Pair]
    validation: list[Pair]
    settings: LoopSettings
    seed: int
    points: int

    @property
    def steps(self) -> int:
        """The steps of the whole training."""
        return self.settings.epochs * -(-len(self.pairs) // self.settings.batch_size)

    @property
    def watched(self) -> list[int]:
        """The numbers of steps after which the loss is measured: evenly spaced, the last one last."""
        return [max(1, round(self.steps * point / self.points)) for point in range(1, self.points + 1)]

    def loss(self, base: LoadedModel) -> float:
        """The mean of L over the validation examples, of the model as it stands."""
        return mean_loss(base.model, self.validation, self.settings, base.compute)


def pairs_of(task: Task, base: LoadedModel, most: int = 0) -> list[Pair]:
    """The first examples of a split as token ids; all where `most` is 0."""
    return [example.pair for example in task.encoded(base.tokenizer)[: most or None]]


class WatchedNeurons(Trained):
    """Neurons in training, whose model's loss is measured after some steps.

    The loop calls `project` once in every step, with the step's gradients, and then `write_back`, which it calls at
    other times too: after a checkpoint was taken up, and at the end. So `project` counts the steps.

    Attributes:
        steps: how many have been taken.
        losses: number of steps → the loss after them.
    """

    def __init__(self, neurons: TrainedNeurons, watched: Sequence[int], measure: Callable[[], float]):
        self.neurons, self.measure = neurons, measure
        self.watched = sorted(set(watched))
        self.steps = 0
        self.losses: dict[int, float] = {}
        self._under_way = False

    def parameters(self) -> list[nn.Parameter]:
        return self.neurons.parameters()

    def project(self, gradients: Sequence[torch.Tensor]) -> None:
        """Count the step."""
        self.steps += 1
        self._under_way = True

    def write_back(self) -> None:
        self.neurons.write_back()
        # The loss at the last step is that of the end, where the loop may have gone back to the best epoch.
        if self._under_way and self.steps in self.watched[:-1]:
            self.losses[self.steps] = self.measure()
        self._under_way = False

    def end_stage(self) -> None:
        """Measure the end; a training that stopped early has its loss at all steps that it did not come to."""
        end = self.measure()
        self.losses |= {step: end for step in self.watched if step not in self.losses}

    def state(self) -> dict[str, torch.Tensor]:
        losses = [self.losses.get(step, math.nan) for step in self.watched]
        return {"steps": torch.tensor([self.steps]), "losses": torch.tensor(losses, dtype=torch.float64)}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        self.steps = int(state["steps"])
        measured = zip(self.watched, state["losses"].tolist(), strict=True)
        self.losses = {step: loss for step, loss in measured if step <= self.steps and step != self.watched[-1]}


@dataclass(frozen=True)
class Finished:
    """What came of a training.

    Attributes:
        history: the loop's, a row a step.
        curve: trained_pct (share of the training's steps), step, validation_loss.
        delta: the trained values, where they are wanted.
    """

    history: pd.DataFrame
    curve: pd.DataFrame
    delta: Delta | None = None


HISTORY = ("step", "epoch", "loss", "gradient_norm", "learning_rate", "validation_loss")
NOTHING = pd.DataFrame({column: pd.Series(dtype="float64") for column in HISTORY})


def train_set(
    base: LoadedModel,
    neurons: NeuronSet,
    job: Job,
    what: str,
    checkpoint: Checkpoint,
    provenance: dict[str, Any] | None = None,
) -> Finished:
    """Train one set of neurons; the base model is as before afterwards. A set without neurons changes nothing.

    Args:
        what: the training in words, for messages.
        provenance: what its delta is made of; None where no delta is wanted.

    Raises:
        DivergedError: a gradient is no finite number.
        UserError: as `train`.
    """
    history = NOTHING
    # The loop itself looks at the loss only to stop early; the curve is measured by the hooks.
    watched = job.validation if job.settings.patience else []
    with trained_neurons(base.model, neurons) as trained, entries_put_back(trained.slices):
        hooks = WatchedNeurons(trained, job.watched, lambda: job.loss(base))
        if len(neurons):
            history = train(
                base.model, hooks, job.pairs, job.settings, base.compute, job.seed, what, watched, checkpoint
            )
        else:
            log.info("%s: there are no neurons in this set, and nothing is trained", what)
            hooks.end_stage()
        points = [100 * (number + 1) / job.points for number in range(job.points)]
        losses = [hooks.losses[step] for step in job.watched]
        curve = pd.DataFrame({"trained_pct": points, "step": job.watched, "validation_loss": losses})
        delta = None if provenance is None else trained_delta(base, trained, provenance)
        return Finished(history, curve, delta)


@dataclass(frozen=True)
class Kept:
    """Where a finished training of a set waits for those of the others.

    Attributes:
        folder, name: of its files.
        key: which training it is: all that decides its result.
        with_delta: whether its delta is wanted.
    """

    folder: Path
    name: str
    key: str
    with_delta: bool = True

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the training keeps its state while it is not finished."""
        return Checkpoint(self.folder / f"{self.name}.safetensors", self.key)

    @property
    def delta(self) -> Path:
        return self.folder / f"{self.name}.delta.safetensors"

    def keep(self, finished: Finished) -> Finished:
        """Store what came of the training, and give it back without the delta's values, which the file has."""
        if finished.delta is not None:
            write_delta(self.delta, finished.delta)
        write_frame(self.folder / f"{self.name}.curve.parquet", finished.curve, "validation losses", {"key": self.key})
        write_frame(self.folder / f"{self.name}.parquet", finished.history, "training", {"key": self.key})
        self.checkpoint.remove()
        return replace(finished, delta=None)

    def finished(self) -> Finished | None:
        """The training, without its delta; None where it was not kept, is of another training, or is damaged."""
        files = [self.folder / f"{self.name}{ending}" for ending in (".parquet", ".curve.parquet")]
        if not all(file.exists() for file in [*files, *([self.delta] if self.with_delta else [])]):
            return None
        try:
            history, provenance = read_frame(files[0], "training")
            curve, of_curve = read_frame(files[1], "validation losses")
            if self.with_delta:
                read_delta(self.delta)
        except UserError as problem:
            log.info("no use of what was kept, the set is trained anew: %s", problem)
            return None
        if {provenance["key"], of_curve["key"]} != {self.key}:
            return None
        log.info("%s: trained in an earlier try", self.name)
        return Finished(history, curve)
