"""Neuron tuning's engine: only the selected neurons move, as a dense training masked by hand would move them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from conftest import readers, tiny_model
from taskneurons.config.settings import LoopSettings
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.models.loaded import Compute
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.matrices import matrices
from taskneurons.neurons.neuron_set import NeuronSet, random_set
from taskneurons.training.loop import train
from taskneurons.tuning.trained_neurons import TrainedNeurons, entries_put_back, slices_of, trained_neurons

PAIRS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([14, 15, 16, 17, 18, 19], [20, 21, 22])]
CPU = torch.device("cpu")


def some_neurons(model: PreTrainedModel) -> NeuronSet:
    """A tenth of the neurons, none of the middle layer."""
    neurons = random_set(sum(widths(model)) // 10, widths(model), seed=3)
    starts = np.cumsum([0, *widths(model)])
    neurons.selected[starts[1] : starts[2]] = False
    return neurons


def masks(model: PreTrainedModel, neurons: NeuronSet) -> dict[str, torch.Tensor]:
    """The selected entries of the FFN parameters: parameter name → bool flags."""
    found = {}
    flags = torch.from_numpy(neurons.selected).split(list(neurons.widths))
    for layer, chosen in zip(matrices(model), flags, strict=True):
        for matrix in layer:
            for name, (parameter, axis) in matrix.neuron_parameters().items():
                along = chosen.repeat(parameter.shape[axis] // len(chosen))
                shape = [-1 if at == axis else 1 for at in range(parameter.dim())]
                found[name] = along.view(shape).expand_as(parameter)
    return found


def loss_of(model: PreTrainedModel) -> torch.Tensor:
    return sample_losses(model, collate(PAIRS, CPU)).mean()


def tune(model: PreTrainedModel, neurons: NeuronSet, steps: int) -> TrainedNeurons:
    with trained_neurons(model, neurons) as trained:
        optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-2, weight_decay=0.1)
        for _ in range(steps):
            loss_of(model).backward()
            nn.utils.clip_grad_norm_(trained.parameters(), 0.5)
            optimizer.step()
            trained.write_back()
            optimizer.zero_grad(set_to_none=True)
    return trained


def test_after_fifty_steps_only_the_selected_neurons_have_moved(model):
    neurons, before = some_neurons(model), copy.deepcopy(model.state_dict())
    tune(model, neurons, steps=50)
    chosen = masks(model, neurons)
    for name, tensor in model.state_dict().items():
        moved = tensor != before[name]
        where = chosen.get(name, torch.zeros_like(moved))
        assert not moved[~where].any(), name
        assert moved[where].float().mean() > 0.9 if where.any() else True, name


def test_trajectory_of_a_dense_training_masked_by_hand(model):
    """Gradient and optimiser step are masked by hand: float64, 1e-10."""
    model = model.double()
    dense, neurons = copy.deepcopy(model), some_neurons(model)
    start, chosen = copy.deepcopy(model.state_dict()), masks(model, neurons)
    parameters = {name: parameter for name, parameter in dense.named_parameters() if name in chosen}
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-2, weight_decay=0.1)
    for _ in range(10):
        gradients = torch.autograd.grad(loss_of(dense), list(parameters.values()))
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            parameter.grad = gradient * chosen[name]
        nn.utils.clip_grad_norm_(parameters.values(), 0.5)
        optimizer.step()
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.where(chosen[name], parameter, start[name]))
    tune(model, neurons, steps=10)
    for name, tensor in dense.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=0, atol=1e-10)


def test_parameters_and_moments_are_as_many_as_the_mask_says(model):
    neurons = some_neurons(model)
    expected = sum(int(flags.sum()) for flags in masks(model, neurons).values())
    with trained_neurons(model, neurons) as trained:
        assert sum(part.numel() for part in trained.parameters()) == expected
        optimizer = torch.optim.AdamW(trained.parameters())
        loss_of(model).backward()
        assert all(parameter.grad is None for parameter in model.parameters())
        optimizer.step()
        moments = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
        assert sum(moment.nbytes for moment in moments) == 2 * 4 * expected


def test_the_model_is_plain_again_also_after_an_exception(model):
    trainable = [parameter.requires_grad for parameter in model.parameters()]
    with pytest.raises(RuntimeError, match="stop"), trained_neurons(model, some_neurons(model)):
        assert not any(parameter.requires_grad for parameter in model.parameters())
        raise RuntimeError("stop")
    assert [parameter.requires_grad for parameter in model.parameters()] == trainable
    for module in model.modules():
        assert "forward" not in module.__dict__
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert readers(model)[0].weight.grad is None


def test_a_forward_that_was_there_before_is_back():
    model = tiny_model("llama")
    reader = readers(model)[0]
    reader.forward = own = lambda x: nn.functional.linear(x, reader.weight)
    with trained_neurons(model, some_neurons(model)):
        assert reader.forward is not own
    assert reader.forward is own


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "opt"])
def test_entries_are_put_back_to_the_bit(family):
    model = tiny_model(family)
    before, neurons = copy.deepcopy(model.state_dict()), some_neurons(model)
    slices = [one for _, found in slices_of(model, neurons) for one in found]
    with entries_put_back(slices):
        tune(model, neurons, steps=2)
        assert any((model.state_dict()[name] != tensor).any() for name, tensor in before.items())
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_gradient_checkpointing_gives_the_same_gradients():
    model = tiny_model("llama")
    neurons, found, calls = some_neurons(model), [], []
    readers(model)[0].register_forward_pre_hook(lambda module, inputs: calls.append(1))
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
        model.train()
        calls.clear()
        with trained_neurons(model, neurons) as trained:
            loss_of(model).backward()
            found.append([part.grad for part in trained.parameters()])
        assert len(calls) == 1 + checkpointing
    for plain, checkpointed in zip(*found, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_bfloat16_trains_a_float32_copy(weights):
    """Steps too small for bfloat16 add up in the parts, and the model holds their rounded values."""
    model = tiny_model("llama").to(weights)
    neurons = some_neurons(model)
    exact = tiny_model("llama")
    with trained_neurons(model, neurons) as trained, trained_neurons(exact, neurons) as reference:
        with torch.autocast("cpu", torch.bfloat16):
            loss_of(model).backward()
        loss_of(exact).backward()
        for one, part, other in zip(trained.slices, trained.parts, reference.parts, strict=True):
            assert part.dtype == part.grad.dtype == torch.float32
            assert torch.nn.functional.cosine_similarity(part.grad.flatten(), other.grad.flatten(), dim=0) > 0.98
            before = part.detach().clone()
            for _ in range(1000):
                with torch.no_grad():
                    part.add_(1e-6)
            trained.write_back()
            torch.testing.assert_close(part.detach(), before + 1e-3, rtol=0, atol=1e-4)
            assert torch.equal(one.read(), part.detach().to(weights))


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_the_loop_in_bfloat16_moves_the_selected_neurons_only(weights):
    model = tiny_model("llama").to(weights)
    neurons, before = some_neurons(model), copy.deepcopy(model.state_dict())
    settings = LoopSettings(
        epochs=3, batch_size=2, learning_rate=1e-2, warmup=0.0, schedule="constant", weight_decay=0.1
    )
    with trained_neurons(model, neurons) as trained:
        history = train(model, trained, PAIRS, settings, Compute(CPU, torch.bfloat16, weights), 0, "test")
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    chosen = masks(model, neurons)
    for name, tensor in model.state_dict().items():
        moved = tensor != before[name]
        assert not moved[~chosen.get(name, torch.zeros_like(moved))].any(), name


def test_a_neurons_entries_make_its_own_output_and_no_other(model):
    """Entries of the writers that belong to neuron 5 of the middle layer, changed: ω_5 changes there, nothing else."""
    selected = np.zeros(sum(widths(model)), dtype=bool)
    selected[widths(model)[0] + 5] = True
    seen = []
    handle = readers(model)[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    slices = slices_of(model, NeuronSet(selected, tuple(widths(model))))
    with torch.no_grad():
        model(input_ids=torch.arange(3, 11)[None])
        for matrix, found in slices:
            for one in found if not matrix.reads else []:
                one.write(one.read() + 0.5)
        model(input_ids=torch.arange(3, 11)[None])
    handle.remove()
    changed = (seen[0] != seen[1]).reshape(-1, widths(model)[1]).any(dim=0)
    assert changed.nonzero()[:, 0].tolist() == [5]


def test_mixtures_of_experts_are_refused():
    model = tiny_model("mixtral")
    neurons = random_set(5, widths(model), seed=0)
    with pytest.raises(UserError, match="mixtures of experts"), trained_neurons(model, neurons):
        pass


def test_neurons_of_another_model_are_refused():
    model = tiny_model("llama")
    with (
        pytest.raises(ValueError, match="the neurons are of layers"),
        trained_neurons(model, random_set(3, (7, 7), seed=0)),
    ):
        pass
