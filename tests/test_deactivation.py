"""Deactivation equals zeroing the neurons' columns of the reader."""

import copy

import numpy as np
import pytest
import torch

from taskneurons.deactivation import deactivated
from taskneurons.feed_forward import reader_columns, widths
from taskneurons.neuron_set import NeuronSet, random_set


def test_equals_zeroed_parameters(model):
    neurons = random_set(20, tuple(widths(model)), seed=3)
    zeroed = copy.deepcopy(model)
    with torch.no_grad():
        for columns, flags in zip(reader_columns(zeroed), neurons.by_layer(), strict=True):
            columns[:, torch.from_numpy(flags)] = 0
    ids = torch.randint(300, (2, 7))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with deactivated(model, neurons):
            inside = model(input_ids=ids).logits
        after = model(input_ids=ids).logits
        expected = zeroed(input_ids=ids).logits
    assert torch.allclose(inside, expected, atol=1e-6)
    assert torch.equal(before, after)
    assert not torch.allclose(before, inside, atol=1e-6)


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
