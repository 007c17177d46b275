"""Replay: SeqFT that goes on to see a few examples of each earlier task.

Steps, epochs and the batches of the new task are SeqFT's own. To each batch's loss is added the mean of L over as many
kept examples, drawn at random without replacement from those of all earlier tasks together (over all of them, where
they are fewer). So a step takes up to twice as long, but no method has more steps, nor fewer examples of the new task.
The knob trades accuracy for memory: what is kept of a task are the first examples of its train split.
"""

from collections.abc import Sequence

import torch

from taskneurons.continual.method import Answering, Learnt, Stage, State
from taskneurons.continual.whole_model import answering_last, learn_on
from taskneurons.data.batches import by_length
from taskneurons.data.encoding import Pair, collate, sample_losses
from taskneurons.training.loop import WholeModel

NAME = "Replay"
LEARNS = "in sequence"
TRAINS = "all parameters"
NEEDS = ("earlier examples",)
NEEDS_TASK_ID = False
KNOB = {"name": "kept_examples", "grid": [16, 4, 64]}

BYTES_A_TOKEN = 4  # an id as int32


class Replayed(WholeModel):
    """All parameters, trained on kept examples beside each batch."""

    def __init__(self, stage: Stage, kept: list[Pair]) -> None:
        super().__init__(stage.base.model)
        self.compute, self.batch_tokens, self.kept = stage.base.compute, stage.training.batch_tokens, kept

    def penalty(self, batch: Sequence[Pair]) -> None:
        """Add the gradients of the mean of L over the drawn examples, in parts as the loop's; there is no penalty."""
        # The order is drawn by the global random state, which goes into checkpoints.
        drawn = [self.kept[number] for number in torch.randperm(len(self.kept))[: len(batch)].tolist()]
        lengths = [len(prompt) + len(target) for prompt, target in drawn]
        for rows in by_length(lengths, len(batch), self.batch_tokens):
            with self.compute.autocast():
                losses = sample_losses(self.model, collate([drawn[row] for row in rows], self.compute.device))
            (losses.sum() / len(drawn)).backward()


def kept_of(pairs: list[Pair], stage: Stage) -> list[Pair]:
    """The examples of a task that are kept."""
    assert stage.settings.knob is not None
    return pairs[: int(stage.settings.knob)]


def learn(stage: Stage) -> Learnt:
    """Train all parameters from where the stage before ended, with kept examples of the earlier tasks."""
    kept = [pair for lesson in stage.lessons[:-1] for pair in kept_of(lesson.pairs, stage)]
    learnt = learn_on(stage, Replayed(stage, kept))
    tokens = sum(len(prompt) + len(target) for prompt, target in kept_of(stage.lesson.pairs, stage))
    return Learnt(learnt.tensors, learnt.history, learnt.parameters, BYTES_A_TOKEN * tokens)


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The model of the last stage answers all."""
    return answering_last(state, prompts)
