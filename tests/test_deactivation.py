"""Deactivation equals setting the neurons' outputs to zero."""

import numpy as np
import pytest
import torch

from conftest import readers
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.models.loaded import weights_hash
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import NeuronSet, random_set


def zeroing(off):
    return lambda module, inputs: (inputs[0].masked_fill(off, 0), *inputs[1:])


def test_equals_outputs_set_to_zero(model):
    """Against hooks that set what the readers get to zero."""
    neurons = random_set(20, tuple(widths(model)), seed=3)
    ids = torch.randint(300, (2, 7))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with deactivated(model, neurons):
            inside = model(input_ids=ids).logits
        handles = [
            reader.register_forward_pre_hook(zeroing(torch.from_numpy(flags)))
            for reader, flags in zip(readers(model), neurons.by_layer(), strict=True)
        ]
        expected = model(input_ids=ids).logits
        for handle in handles:
            handle.remove()
    assert torch.allclose(inside, expected, atol=1e-6)
    assert not torch.allclose(before, inside, atol=1e-6)


def test_the_models_bits_are_back_also_after_an_exception(model):
    before = weights_hash(model)
    neurons = random_set(20, tuple(widths(model)), seed=3)
    with pytest.raises(RuntimeError, match="stop"), deactivated(model, neurons):
        assert weights_hash(model) != before
        assert not any(module._forward_pre_hooks or "forward" in module.__dict__ for module in model.modules())
        raise RuntimeError("stop")
    assert weights_hash(model) == before


def test_nothing_selected_changes_nothing(model):
    ids = torch.randint(300, (1, 5))
    empty = NeuronSet(np.zeros(sum(widths(model)), bool), tuple(widths(model)))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with deactivated(model, empty):
            assert torch.equal(model(input_ids=ids).logits, before)


def test_another_models_neurons_are_refused(model):
    with pytest.raises(ValueError, match="the model has"), deactivated(model, NeuronSet(np.ones(4, bool), (2, 2))):
        pass
