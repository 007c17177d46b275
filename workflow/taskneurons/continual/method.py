"""What a continual-learning method is: a module of `continual/methods/`, which learns a task at a time.

Its constants are literals, which rules read without importing it (`core/named.py`):
- NAME: as the tables show it.
- LEARNS: "in sequence", each stage from where the one before it ended; "alone", each task from the base model, so that
  a task's stage serves all sequences; or "jointly", all tasks of a sequence together, at the last stage alone.
- TRAINS: "all parameters", "neurons" or "adapters" (prefixes too): by it a stage's memory, time and disk are planned.
- NEEDS: what it needs besides the train examples of a stage's task and what the stage before kept: "scores" (of the
  base model, of all tasks so far), "percent" (how many neurons a task trains), "earlier examples" (train examples of
  the tasks before), "all stages" (what all stages before kept).
- NEEDS_TASK_ID: whether it is told at test time which task an input is of.
- KNOB: its one setting beside the learning rate, as {"name": …, "grid": [the default, others]}; or None.

Its functions:
- `learn(stage) -> Learnt` trains, in the model of `stage.base` or a part of it. It may leave the model changed.
- `answering(state, prompts, task)`, a generator: puts the model of `state.base` into the state in which it answers some
  of the prompts, and yields which they are and the task that it took them for ("none" for no task, "" where it does
  not choose), until all are answered; then the model's very bits are as before. `task` is the task's key where
  NEEDS_TASK_ID, else None.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from taskneurons.config.settings import LoopSettings
from taskneurons.data.encoding import Pair
from taskneurons.models.loaded import LoadedModel
from taskneurons.models.tensors_file import Tensors
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import Trained, train

Answering = Iterator[tuple[list[int], str]]


@dataclass(frozen=True)
class Lesson:
    """What there is to learn one task from.

    Attributes:
        pairs: its train examples; none of an earlier task unless the method needs "earlier examples".
        scores: (n_neurons,), its attribution scores by the base model, where the method needs "scores".
    """

    task: str
    pairs: list[Pair]
    scores: np.ndarray | None = None


@dataclass(frozen=True)
class Settings:
    """What all methods share.

    Attributes:
        percent: how many neurons a task trains, in percent of all.
        scope: of the top: global or per-layer.
        knob: the value of the method's KNOB; None where it has none.
        seed: the training's.
    """

    percent: float
    scope: str
    knob: float | None
    seed: int


@dataclass(frozen=True)
class Stage:
    """A stage of a sequence, to be learnt.

    Attributes:
        base: the base model as it is.
        lessons: of the tasks so far; the last one is to be learnt.
        kept: what the stage before kept, or all stages before in their order, by NEEDS; none where the method does not
            learn in sequence.
        training: of the loop, with the learning rate.
        checkpoint: where a training keeps its state.
    """

    base: LoadedModel
    lessons: list[Lesson]
    kept: list[Tensors]
    settings: Settings
    training: LoopSettings
    checkpoint: Checkpoint

    @property
    def lesson(self) -> Lesson:
        """What is to be learnt."""
        return self.lessons[-1]

    def train(self, trained: Trained, pairs: Sequence[Pair] | None = None) -> pd.DataFrame:
        """Train on the lesson's examples, or on others; the loop's history."""
        what = f"{self.lesson.task} after {len(self.lessons) - 1} tasks"
        model, compute, seed = self.base.model, self.base.compute, self.settings.seed
        return train(
            *(model, trained, self.lesson.pairs if pairs is None else pairs, self.training, compute, seed, what),
            checkpoint=self.checkpoint,
        )


@dataclass(frozen=True)
class Learnt:
    """What came of a stage.

    Attributes:
        tensors: what the next stages and the tests need of it.
        history: the loop's.
        parameters: how many were trained.
        kept_bytes: of the tensors, what is kept for this task beside the one model; 0 of a method whose model is all.
    """

    tensors: Tensors
    history: pd.DataFrame
    parameters: int
    kept_bytes: int = 0


@dataclass(frozen=True)
class State:
    """What a method knows after some stages.

    Attributes:
        base: the base model as it is.
        tasks: those learnt, in their order.
        kept: what the stage of each of them kept, of a method that needs all or learns alone; else it ends with what
            the last one kept.
    """

    base: LoadedModel
    tasks: list[str]
    kept: list[Tensors]
    settings: Settings


def start_of(stage: Stage) -> torch.Generator:
    """Of the random numbers that a task starts with: others for each task and seed."""
    numbers = np.random.default_rng([stage.settings.seed, *stage.lesson.task.encode()])
    return torch.Generator().manual_seed(int(numbers.integers(2**63)))


def n_parameters(trained: Trained) -> int:
    """How many numbers a training changes."""
    return sum(parameter.numel() for parameter in trained.parameters())


def n_bytes(tensors: Tensors) -> int:
    """What tensors take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def weights_of(model: PreTrainedModel) -> Tensors:
    """A copy of all parameters, shared ones once."""
    return {name: parameter.detach().to("cpu", copy=True) for name, parameter in model.named_parameters()}


def put_weights(model: PreTrainedModel, tensors: Tensors) -> None:
    """Give parameters the values of tensors of their names."""
    with torch.no_grad():
        for name, values in tensors.items():
            model.get_parameter(name).copy_(values)


@contextmanager
def weights_put(model: PreTrainedModel, tensors: Tensors) -> Iterator[None]:
    """Run the block with these values in the parameters of these names; the former bits are back after it."""
    before = {name: model.get_parameter(name).detach().to("cpu", copy=True) for name in tensors}
    put_weights(model, tensors)
    try:
        yield
    finally:
        put_weights(model, before)


def everything(prompts: Sequence[list[int]]) -> tuple[list[int], str]:
    """All prompts, of a method that does not choose."""
    return list(range(len(prompts))), ""
