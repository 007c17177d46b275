"""Deltas: what neuron tuning changed in a model, as a file of the trained neurons' values and of which they are.

A delta fits the one model that it was trained from, which it knows by its identity. Deltas stack: the second of two
that were trained one after the other fits the model that carries the first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taskneurons.core.content import content_hash
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import LoadedModel
from taskneurons.models.tensors_file import read_tensors, tensors_hash, write_tensors
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.tuning.trained_neurons import TrainedNeurons, entries_put_back, slices_of

KIND = "delta"
NEURONS = "neurons"
CROSSED = "crossed"  # the kind of a task's own neurons that were trained on another task's data


@dataclass(frozen=True)
class Delta:
    """The values of trained neurons.

    Attributes:
        values: the parameter's name in the model → (n, …), a neuron's entries in each row, as `Slice.read` gives them.
        neurons: which neurons they belong to.
        base: the identity of the model that they were trained from.
        result: the identity of the model with them: a hash of `base`, the values and where they belong.
        weights: the dtype in which that model's weights were held, which decides what they are.
        provenance: what made them.
    """

    values: dict[str, torch.Tensor]
    neurons: NeuronSet
    base: str
    result: str
    weights: str
    provenance: dict[str, Any]


def trained_delta(base: LoadedModel, trained: TrainedNeurons, provenance: dict[str, Any]) -> Delta:
    """What a training of neurons of a model has changed so far; the model has to hold it, written back.

    Args:
        provenance: what made it, as JSON can hold it.
    """
    values = {name: value.to("cpu", copy=True) for name, value in trained.values().items()}
    # Not the hash of all weights: of a model of 7 billion parameters each delta would read 28 GB for it.
    of_values = tensors_hash({**values, NEURONS: positions(trained.neurons)})
    result = content_hash([base.identity, of_values]) if len(trained.neurons) else base.identity
    return Delta(values, trained.neurons, base.identity, result, str(base.compute.weights), provenance)


def positions(neurons: NeuronSet) -> torch.Tensor:
    """Where the neurons stand among all neurons of the model; shape (n,), ascending."""
    return torch.from_numpy(np.flatnonzero(neurons.selected))


def write_delta(path: str | Path, delta: Delta) -> None:
    """Write a delta as safetensors, atomically; the positions of its neurons are the tensor `neurons`."""
    provenance = {
        **delta.provenance,
        "base": delta.base,
        "result": delta.result,
        "weights": delta.weights,
        "widths": list(delta.neurons.widths),
    }
    write_tensors(path, {**delta.values, NEURONS: positions(delta.neurons)}, KIND, provenance)


def read_delta(path: str | Path) -> Delta:
    """Read a delta; raises UserError as `read_tensors` does."""
    values, provenance = read_tensors(path, KIND)
    widths = tuple(provenance["widths"])
    selected = np.zeros(sum(widths), dtype=bool)
    selected[values.pop(NEURONS).numpy()] = True
    identities = provenance["base"], provenance["result"]
    return Delta(values, NeuronSet(selected, widths, identities[0]), *identities, provenance["weights"], provenance)


@contextmanager
def with_delta(loaded: LoadedModel, delta: Delta) -> Iterator[LoadedModel]:
    """Run the block with a delta's values in the model; they are taken off after it, and the very bits are back.

    The block gets the model under its new identity: nested blocks stack deltas, and `save_model` within the block
    saves the merged model (with that identity, if its provenance says so).

    Raises:
        UserError: the delta was trained from another model, or with weights in another dtype.
    """
    if delta.base != loaded.identity:
        raise UserError(
            f"the delta was trained from model {delta.base}, but this model is {loaded.identity}: "
            "apply it to the model that it was trained from (deltas that stack, in the order of their training)"
        )
    if delta.weights != str(loaded.compute.weights):
        raise UserError(
            f"the delta was trained with weights in {delta.weights}, but this model's are in {loaded.compute.weights}: "
            "load it as it was trained (compute.frozen_weights and, where that is `compute`, compute.dtype)"
        )
    slices = [one for _, found in slices_of(loaded.model, delta.neurons) for one in found]
    with entries_put_back(slices):
        for one in slices:
            one.write(delta.values[one.name])
        yield replace(loaded, provenance={**loaded.provenance, "identity": delta.result, "parent": delta.base})
