"""EPI (Wang et al. 2023), ported to decoders: a prefix for each task, and an input's task is found by its features.

Published for BERT with a prefix of 16 tokens. The task is the one with the smallest squared Mahalanobis distance of the
input's features, by the base model, to the mean of one of its classes, with one covariance of all tasks. Ours: features
are mean hidden states, for a decoder has no token that stands for the input; the class is answered by the base model's
own head; and an input that is far from all tasks is answered by the base model as it is. `continual/prefixes.py` says
how a decoder is given a prefix.
"""

import logging
from dataclasses import replace

from taskneurons.continual.features import ROUTER, task_features
from taskneurons.continual.method import Answering, Learnt, Stage, State, n_bytes
from taskneurons.continual.prefixes import TrainedPrefix, new_prefix, prefix_put
from taskneurons.continual.routing import answering_nearest
from taskneurons.neurons.blocks import frozen

NAME = "EPI"
LEARNS = "alone"
TRAINS = "adapters"
NEEDS = ()
NEEDS_TASK_ID = False
KNOB = None

PREFIX = "prefix"

log = logging.getLogger(__name__)


def learn(stage: Stage) -> Learnt:
    """Train a prefix of the task before the frozen base model."""
    features = task_features(stage.base, stage.lesson)
    if stage.training.gradient_checkpointing:
        log.info("%s: prefixes are trained without gradient checkpointing, which would drop them", stage.lesson.task)
        stage = replace(stage, training=stage.training.model_copy(update={"gradient_checkpointing": False}))
    prefix = new_prefix(stage)
    with frozen(stage.base.model), prefix_put(stage.base, prefix):
        history = stage.train(TrainedPrefix(prefix))
    kept = {PREFIX: prefix.detach().to("cpu", copy=True), **{name: features[name] for name in ROUTER}}
    return Learnt(kept, history, prefix.numel(), n_bytes(kept))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The base model answers, with the prefix of the task that each prompt is taken for."""
    return answering_nearest(state, prompts, lambda kept: prefix_put(state.base, kept[PREFIX]))
