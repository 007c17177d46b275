"""Methods that train selected neurons at a stage: what they keep is the neurons' values after it, and which they are.

The values of all stages, written into the base model one after the other, are the model at the end of the last, to the
bit; so a neuron of several tasks has the value that the last of them gave it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from transformers import PreTrainedModel

from taskneurons.continual.method import Answering, Learnt, Stage, State, everything, n_parameters
from taskneurons.models.tensors_file import Tensors
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import NeuronSet, random_in_layers, top_share, union_of
from taskneurons.tuning.trained_neurons import Slice, entries_put_back, slices_of, trained_neurons

VALUES, NEURONS = "values.", "neurons"


def own_neurons(stage: Stage) -> NeuronSet:
    """The task's top neurons of the base model."""
    scores = stage.lesson.scores
    assert scores is not None  # the method's NEEDS
    return top_share(scores, stage.settings.percent, tuple(widths(stage.base.model)), stage.settings.scope)


def random_neurons(stage: Stage) -> NeuronSet:
    """As many random neurons in each layer as the task's own; others for each task and seed."""
    own = own_neurons(stage)
    return random_in_layers(own.counts(), own.widths, [stage.settings.seed, *stage.lesson.task.encode()])


def neurons_of(model: PreTrainedModel, kept: Tensors) -> NeuronSet:
    """Which neurons a stage trained."""
    layers = tuple(widths(model))
    selected = np.zeros(sum(layers), dtype=bool)
    selected[kept[NEURONS].numpy()] = True
    return NeuronSet(selected, layers)


def entries_of(model: PreTrainedModel, neurons: NeuronSet) -> list[Slice]:
    """The entries of some neurons, all matrices one after the other."""
    return [one for _, slices in slices_of(model, neurons) for one in slices]


def put_neurons(model: PreTrainedModel, kept: Tensors) -> None:
    """Write the values that a stage kept into the model."""
    for one in entries_of(model, neurons_of(model, kept)):
        one.write(kept[f"{VALUES}{one.name}"])


def answering_last(state: State, prompts: list[list[int]]) -> Answering:
    """The model of the last stage answers all prompts."""
    with neurons_put(state.base.model, state.kept):
        yield everything(prompts)


@contextmanager
def neurons_put(model: PreTrainedModel, stages: Sequence[Tensors]) -> Iterator[None]:
    """Run the block with the values of some stages in the model; those of before, to the bit, are back after it."""
    if not stages:
        yield
        return
    with entries_put_back(entries_of(model, union_of([neurons_of(model, kept) for kept in stages]))):
        for kept in stages:
            put_neurons(model, kept)
        yield


def learn_neurons(stage: Stage, neurons: NeuronSet) -> Learnt:
    """Train some neurons from where the stage before ended, and keep their values."""
    model = stage.base.model
    for kept in stage.kept:
        put_neurons(model, kept)
    with trained_neurons(model, neurons) as trained:
        number = n_parameters(trained)
        history = stage.train(trained)
        kept = {f"{VALUES}{name}": value.to("cpu", copy=True) for name, value in trained.values().items()}
    kept[NEURONS] = torch.from_numpy(np.flatnonzero(neurons.selected))
    return Learnt(kept, history, number)


def differences(model: PreTrainedModel, stages: Sequence[Tensors]) -> list[Tensors]:
    """ΔW_k: what each stage changed, by the names of the model's parameters; the model is as before afterwards."""
    found = []
    for number, kept in enumerate(stages):
        with neurons_put(model, stages[:number]):
            entries = entries_of(model, neurons_of(model, kept))
            found.append({one.name: kept[f"{VALUES}{one.name}"].to(one.whole) - one.read() for one in entries})
    return found


@contextmanager
def differences_added(
    model: PreTrainedModel, stages: Sequence[Tensors], changes: Sequence[Tensors], weights: Sequence[float]
) -> Iterator[None]:
    """Run the block with W + Σ_k w_k·ΔW_k in the model; the values of before, to the bit, are back after it.

    Args:
        changes: the ΔW_k of the stages.
    """
    with entries_put_back(entries_of(model, union_of([neurons_of(model, kept) for kept in stages]))):
        for kept, change, weight in zip(stages, changes, weights, strict=True):
            for one in entries_of(model, neurons_of(model, kept)):
                one.write(one.read() + weight * change[one.name])
        yield
