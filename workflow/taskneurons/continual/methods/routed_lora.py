"""Routed LoRA: a LoRA for each task, and the nearest task answers an input; the rival of routed neurons.

Its rank is the largest at which it takes no more bytes than the values and numbers of a task's own neurons would. It is
put on query and value; where that rank is above the smaller dimension of one of these, which it could not use, on all
FFN matrices besides. An input that is far from all tasks is answered by the base model as it is.
"""

import numpy as np
from transformers import PreTrainedModel

from taskneurons.continual.adapters import (
    TrainedAdapter,
    adapters_put,
    learn_adapter,
    new_adapter,
    query_and_value,
    sizes,
)
from taskneurons.continual.features import ROUTER, task_features
from taskneurons.continual.method import Answering, Learnt, Settings, Stage, State, n_bytes
from taskneurons.continual.routing import answering_nearest
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.matrices import matrices
from taskneurons.neurons.neuron_set import top_share

NAME = "Routed LoRA"
LEARNS = "alone"
TRAINS = "adapters"
NEEDS = ("percent",)
NEEDS_TASK_ID = False
KNOB = None

VALUE, NUMBER = 4, 8  # bytes of a float32 and of a neuron's number


def bytes_of_neurons(model: PreTrainedModel, settings: Settings) -> int:
    """What a task's own neurons take: their values, and which they are.

    Raises:
        UserError: the model is a mixture of experts.
    """
    total = widths(model)
    neurons = len(top_share(np.zeros(sum(total)), settings.percent, tuple(total), settings.scope))
    found = [matrix.neuron_parameters().values() for layer in matrices(model) for matrix in layer]
    values = sum(one.numel() for parameters in found for one, _ in parameters)
    return neurons * values * VALUE // sum(total) + neurons * NUMBER


def modules_and_rank(model: PreTrainedModel, settings: Settings) -> tuple[list[str], int]:
    """Which modules get a LoRA, and of which rank; at least 1."""
    most = bytes_of_neurons(model, settings)

    def rank(paths: list[str]) -> int:
        return max(1, most // sum(VALUE * sum(sizes(model, path)) for path in paths))

    paths = query_and_value(model)
    if rank(paths) > min(min(sizes(model, path)) for path in paths):
        paths += [matrix.name for layer in matrices(model) for matrix in layer]
    return paths, rank(paths)


def learn(stage: Stage) -> Learnt:
    """Train an adapter of the task on the frozen base model."""
    model = stage.base.model
    features = task_features(stage.base, stage.lesson, by_class=False)  # as those of routed neurons
    with adapters_put(model, [new_adapter(stage, *modules_and_rank(model, stage.settings))]) as (own,):
        learnt = learn_adapter(stage, TrainedAdapter(own))
    kept = {**learnt.tensors, **{name: features[name] for name in ROUTER}}
    return Learnt(kept, learnt.history, learnt.parameters, n_bytes(kept))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The base model answers, with the adapter of the task that each prompt is taken for."""
    return answering_nearest(state, prompts, lambda kept: adapters_put(state.base.model, [kept]))
