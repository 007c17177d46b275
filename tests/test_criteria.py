"""Every criterion against a slow reference that looks at one sample and one neuron at a time."""

import copy

import numpy as np
import pytest
import torch

from conftest import TINY, readers, tiny_model
from taskneurons.attribution.criteria.integrated_gradients import along_path
from taskneurons.attribution.measuring import CriterionSettings
from taskneurons.core.named import named
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.models.loaded import Compute, LoadedModel
from taskneurons.neurons.blocks import family_of, widths
from taskneurons.neurons.matrices import reader_columns

PAIRS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([14, 15, 16, 17, 18, 19], [20, 21, 22])]
CPU = torch.device("cpu")
SETTINGS = CriterionSettings(aggregation="sample", loss="mean", batch_size=2, batch_tokens=1000, seed=[0], steps=4)


def on_cpu(model):
    return LoadedModel(model, None, {}, Compute(CPU, torch.float32))


def value_of(name, model, pairs=PAIRS, **changes):
    settings = SETTINGS.model_copy(update={"layers": list(range(len(widths(model)))), **changes})
    return named("attribution.criteria", name).values(on_cpu(model), pairs, settings)


def outputs_and_gradients(model, pair):
    """ω and ∂L/∂ω of one sample alone: (T, n_neurons) each."""
    seen = []

    def keep(module, inputs):
        omega = inputs[0].detach().requires_grad_() if not inputs[0].requires_grad else inputs[0]
        seen.append(omega)
        return (omega,)

    handles = [reader.register_forward_pre_hook(keep) for reader in readers(model)]
    loss = sample_losses(model, collate([pair], CPU)).sum()
    for handle in handles:
        handle.remove()
    gradients = torch.autograd.grad(loss, seen)
    tokens = len(pair[0]) + len(pair[1])
    return tuple(torch.cat([part.detach().view(tokens, -1) for part in parts], dim=1) for parts in (seen, gradients))


def test_activation_and_gradient_norm(model):
    activations, norms, roots = [], [], []
    for pair in PAIRS:
        omega, gradient = outputs_and_gradients(model, pair)
        predicting = slice(len(pair[0]) - 1, len(pair[0]) + len(pair[1]) - 1)
        activations.append(omega.abs().mean(dim=0))
        norms.append(gradient[predicting].norm(dim=0))
        roots.append(omega.square().mean(dim=0))
    columns = torch.cat([weight.abs().sum(dim=0) for weight in reader_columns(model)])
    expected = {
        "activation": torch.stack(activations).mean(dim=0),
        "gradient-norm": torch.stack(norms).mean(dim=0),
        "weight-activation": columns * torch.stack(roots).mean(dim=0).sqrt(),
    }
    for name, values in expected.items():
        found = value_of(name, model)
        assert found.max() > 0
        assert np.allclose(found, values.detach().numpy(), rtol=1e-3, atol=1e-5 * found.max())


@pytest.mark.parametrize("family", ["llama", "phi3", "gemma2", "gpt2", "opt"])
def test_activation_frequency(family):
    """act(gate) > 0 where the gate's own projection is positive; without a gate, ω > 0."""
    model = tiny_model(family)
    shares = []
    for pair in PAIRS:
        seen = []
        writers = family_of(model).writers
        layers = model.get_submodule(family_of(model).layers)
        handles = [
            layer.get_submodule(writers[0]).register_forward_hook(lambda *call, seen=seen: seen.append(call[-1]))
            for layer in layers
        ]
        tokens = len(pair[0]) + len(pair[1])
        with torch.no_grad():
            model(input_ids=torch.tensor([pair[0] + pair[1]]))
        for handle in handles:
            handle.remove()
        before = [output.view(tokens, -1)[:, :width] for output, width in zip(seen, widths(model), strict=True)]
        shares.append(torch.cat([(values > 0).float().mean(dim=0) for values in before]))
    assert np.allclose(value_of("activation-frequency", model), torch.stack(shares).mean(dim=0).numpy(), atol=1e-6)


@pytest.mark.parametrize("family", list(TINY))
def test_parameters(family):
    """Neuron j's entries one by one: its column of the reader, its row (or two) of every writer, its biases."""
    model = tiny_model(family)
    family_entry = family_of(model)
    layers = model.get_submodule(family_entry.layers)
    expected = np.zeros(sum(widths(model)))
    for pair in PAIRS:
        model.requires_grad_(True)
        model.zero_grad()
        sample_losses(model, collate([pair], CPU)).sum().backward()
        model.requires_grad_(False)
        start = 0
        for layer, width in zip(layers, widths(model), strict=True):
            reader = layer.get_submodule(family_entry.reader)
            term = (reader.weight * reader.weight.grad).abs()
            term = term if not family_entry.transposed else term.T  # (outputs, neurons)
            sums = term.sum(dim=0)
            for path in family_entry.writers:
                writer = layer.get_submodule(path)
                rows = (writer.weight * writer.weight.grad).abs()
                rows = rows if not family_entry.transposed else rows.T  # (neurons, inputs)
                for first in range(0, len(rows), width):
                    sums = sums + rows[first : first + width].sum(dim=1)
                if getattr(writer, "bias", None) is not None:
                    sums = sums + (writer.bias * writer.bias.grad).abs()
            expected[start : start + width] += sums.detach().numpy()
            start += width
    flags = [parameter.requires_grad for parameter in model.parameters()]
    found = value_of("parameters", model)
    assert np.allclose(found, expected / len(PAIRS), rtol=1e-3, atol=1e-6 * found.max())
    assert [parameter.requires_grad for parameter in model.parameters()] == flags


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_integrated_gradients_add_up_to_the_layers_effect(family):
    """Completeness: over a layer's neurons they sum to the loss as it is less the loss with the layer's neurons off."""
    model = tiny_model(family).double().requires_grad_(False)
    batch = collate(PAIRS, CPU)
    for layer in range(len(widths(model))):
        found = along_path(on_cpu(model), batch, layer, SETTINGS.model_copy(update={"steps": 64}), 1.0).sum(dim=1)
        off = copy.deepcopy(model)
        with torch.no_grad():
            reader_columns(off)[layer].zero_()
            change = sample_losses(model, batch) - sample_losses(off, batch)
        assert torch.allclose(found, change, rtol=1e-3, atol=1e-5)


def test_one_step_of_integrated_gradients_is_at_half_the_output():
    """With one step the gradient is taken at ω/2; layers that are not asked for get NaN."""
    model = tiny_model("llama")
    found = value_of("integrated-gradients", model, steps=1, layers=[1])
    sizes = np.cumsum([0, *widths(model)])
    assert np.isnan(found[: sizes[1]]).all()
    assert np.isnan(found[sizes[2] :]).all()
    inside = found[sizes[1] : sizes[2]]
    assert (inside > 0).any()
    exact = value_of("attribution", model)[sizes[1] : sizes[2]]
    assert np.corrcoef(inside, exact)[0, 1] > 0.9
    assert not np.allclose(inside, exact, rtol=1e-6)


def test_random_knows_only_its_seed():
    model = tiny_model("llama")
    assert np.array_equal(value_of("random", model), value_of("random", model, pairs=PAIRS[:1]))
    assert not np.array_equal(value_of("random", model), value_of("random", model, seed=[1]))
