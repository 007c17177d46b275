"""Exact effects of single neurons, against a model whose weights are zeroed one neuron at a time."""

import copy

import numpy as np
import torch
from transformers import PreTrainedModel

from conftest import readers, tiny_model
from taskneurons.config.settings import Scoring
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.deactivation.exact_ablation import exact_effect, loss_changes, sampled_neurons
from taskneurons.deactivation.switch_off import deactivated_by_row
from taskneurons.models.loaded import Compute, LoadedModel
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.matrices import reader_columns

PAIRS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13])]
CPU = torch.device("cpu")
SETTINGS = Scoring(loss="mean", batch_size=4, batch_tokens=1000)


def changes_by_hand(model, neurons):
    changes = np.zeros((len(PAIRS), len(neurons)))
    with torch.no_grad():
        for place, (layer, neuron) in enumerate(neurons[["layer", "neuron"]].itertuples(index=False)):
            off = copy.deepcopy(model)
            reader_columns(off)[layer][:, neuron] = 0
            for sample, pair in enumerate(PAIRS):
                batch = collate([pair], CPU)
                changes[sample, place] = sample_losses(off, batch).item() - sample_losses(model, batch).item()
    return changes


def test_changes_equal_zeroed_weights(model):
    neurons = sampled_neurons(neuron_index(widths(model)), layers=2, number=6, seed=0)
    found = loss_changes(
        LoadedModel(model, None, {}, Compute(CPU, torch.float32)), PAIRS, neurons.index.tolist(), SETTINGS
    )
    expected = changes_by_hand(model, neurons)
    assert np.abs(expected).max() > 0
    assert np.allclose(found, expected, atol=2e-6)
    assert all(not reader._forward_pre_hooks for reader in readers(model))


def test_each_row_loses_its_own_neuron():
    model = tiny_model("gpt2")
    batch = collate([PAIRS[0]] * 3, CPU)
    with torch.no_grad(), deactivated_by_row(model, [1, 2 * 64 + 5, 7]):
        together = sample_losses(model, batch)
    for row, neuron in enumerate([1, 2 * 64 + 5, 7]):
        with torch.no_grad(), deactivated_by_row(model, [neuron]):
            alone = sample_losses(model, collate([PAIRS[0]], CPU))
        assert torch.allclose(together[row], alone[0], atol=1e-6)


def test_sampled_neurons_are_spread_over_the_layers():
    neurons = sampled_neurons(neuron_index([50] * 9), layers=3, number=30, seed=0)
    assert neurons["layer"].value_counts().to_dict() == {0: 10, 4: 10, 8: 10}
    assert (neurons.index == neurons["layer"] * 50 + neurons["neuron"]).all()
    assert len(sampled_neurons(neuron_index([50]), layers=6, number=30, seed=0)) == 30


def test_effects_follow_the_scores_aggregation():
    changes = np.array([[1.0, -2.0], [-1.0, -4.0]])
    assert exact_effect(changes, "sample").tolist() == [1.0, 3.0]
    assert exact_effect(changes, "total").tolist() == [0.0, 3.0]


def test_a_row_without_a_neuron_is_the_model_as_it_is(model: PreTrainedModel) -> None:
    ids = torch.arange(3, 11).repeat(3, 1)
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        with deactivated_by_row(model, [None, 5, sum(widths(model)) - 1]):
            logits = model(input_ids=ids).logits
    assert torch.equal(logits[0], whole[0])
    assert not torch.equal(logits[1], whole[1]) and not torch.equal(logits[2], whole[2])
