"""W-NCFT, the literal rule: at test time the neurons of each task are weighted by its similarity to the tested task.

The paper: the columns of task k's neurons are weighted by Sim[k], the softmax over the tasks learnt of the cosines of
their features with the tested task's. As cosines are close to each other, each weight is about one over the number of
tasks, and so shrinks what was learnt. What the paper leaves open: a neuron of several tasks has the sum of their
weights, and one of no task keeps its values.
"""

import numpy as np
from transformers import PreTrainedModel

from taskneurons.continual.features import MEAN, similarities, task_features, tested_mean
from taskneurons.continual.method import Answering, Learnt, Stage, State, everything, n_bytes
from taskneurons.continual.neuron_stages import (
    NEURONS,
    entries_of,
    learn_neurons,
    neurons_of,
    neurons_put,
    own_neurons,
)
from taskneurons.models.tensors_file import Tensors
from taskneurons.neurons.neuron_set import NeuronSet

NAME = "W-NCFT"
LEARNS = "in sequence"
TRAINS = "neurons"
NEEDS = ("scores", "all stages")
NEEDS_TASK_ID = True
KNOB = None


def learn(stage: Stage) -> Learnt:
    """Train as NCFT; the task's mean features, and which neurons are its own, are kept for the weights."""
    mean = {MEAN: task_features(stage.base, stage.lesson)[MEAN]}
    learnt = learn_neurons(stage, own_neurons(stage))
    kept_bytes = n_bytes(mean | {NEURONS: learnt.tensors[NEURONS]})
    return Learnt(learnt.tensors | mean, learnt.history, learnt.parameters, kept_bytes)


def weigh_neurons(model: PreTrainedModel, stages: list[Tensors], weights: list[float]) -> None:
    """Multiply the entries of the tasks' neurons in all FFN matrices by their weights."""
    sets = [neurons_of(model, kept) for kept in stages]
    total = np.sum([weight * neurons.selected for weight, neurons in zip(weights, sets, strict=True)], axis=0)
    for weight in np.unique(total[total > 0]):
        for one in entries_of(model, NeuronSet(total == weight, sets[0].widths)):
            one.write(one.read() * weight)


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The model of the last stage, its tasks' neurons weighted for the tested task, answers all."""
    features = tested_mean(state, prompts, str(task))
    weights = similarities(state.kept, features).softmax(dim=0).tolist()
    with neurons_put(state.base.model, state.kept):
        weigh_neurons(state.base.model, state.kept, weights)
        yield everything(prompts)
