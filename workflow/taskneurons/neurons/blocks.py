"""The parts of a loaded model that make and read its neurons' outputs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons.core.errors import UserError
from taskneurons.neurons.families import Family, family
from taskneurons.neurons.neuron_set import NeuronSet

IDENTITIES = "taskneurons_identities"  # the attribute of a loaded model


@dataclass(frozen=True)
class Block:
    """One FFN of a model, or one expert of a layer's mixture.

    Attributes:
        layer: counted from the bottom.
        expert: None in a dense layer.
        width: its number of neurons.
        module: the reader, or the module of all the layer's experts.
    """

    layer: int
    expert: int | None
    width: int
    module: nn.Module


@dataclass(frozen=True)
class Site:
    """Where a tensor ω comes from.

    Attributes:
        block: the number of its block among the model's blocks.
        tokens: (n,), which of the B · T tokens the rows of ω are; None if they are all of them in order, as
            (B, T, d_ff) or (B · T, d_ff).
    """

    block: int
    tokens: torch.Tensor | None

    def by_sample(self, values: torch.Tensor, samples: int, tokens: int) -> torch.Tensor:
        """Values of this site's tokens as (B, T, d_ff), zero where a token did not come by.

        Args:
            values: (…, d_ff), a row a token.
            samples, tokens: B and T.
        """
        if self.tokens is not None:
            values = values.new_zeros(samples * tokens, values.shape[-1]).index_copy(0, self.tokens, values)
        return values.reshape(samples, tokens, values.shape[-1])


Visit = Callable[[Site, torch.Tensor], torch.Tensor]


def family_of(model: PreTrainedModel) -> Family:
    """The entry of the model's family.

    Raises:
        UserError: the family has no entry, or the model bypasses its FFN modules.
    """
    config = model.config
    if config.model_type == "bloom" and config.slow_but_exact and config.pretraining_tp > 1:
        raise UserError("Bloom with slow_but_exact and pretraining_tp > 1 bypasses its FFN modules: switch it off")
    return family(config.model_type)


def layers(model: PreTrainedModel) -> list[nn.Module]:
    """The decoder layers from the bottom up."""
    return list(cast(nn.ModuleList, model.get_submodule(family_of(model).layers)))


def _submodule(module: nn.Module, path: str | None) -> nn.Module | None:
    try:
        return None if path is None else module.get_submodule(path)
    except AttributeError:
        return None


def blocks(model: PreTrainedModel) -> list[Block]:
    """All FFNs of a transformers model from the bottom layer up, a mixture's experts one after the other.

    Raises:
        UserError: as `family_of` does.
    """
    where = family_of(model)
    result = []
    for number, layer in enumerate(layers(model)):
        experts = _submodule(layer, where.experts)
        if experts is None:
            reader = layer.get_submodule(where.reader)
            width = cast(torch.Tensor, reader.weight).shape[where.neuron_axis]
            result.append(Block(number, None, width, reader))
        else:
            number_of_experts, _, width = cast(torch.Tensor, experts.down_proj).shape
            result += [Block(number, expert, width, experts) for expert in range(number_of_experts)]
    return result


@contextmanager
def visiting_outputs(model: PreTrainedModel, visit: Visit) -> Iterator[None]:
    """Run the block with the outputs ω of every FFN replaced by what `visit` returns for them; leaves no hook behind.

    A dense FFN's ω is what its reader gets as input. Experts are computed one after the other, as transformers' eager
    implementation does; an expert to which no token is routed is not visited.
    """
    with ExitStack() as stack:
        for number, block in enumerate(blocks(model)):
            if block.expert is None:
                stack.callback(block.module.register_forward_pre_hook(_visit_input(number, visit)).remove)
            elif block.expert == 0:
                stack.enter_context(forward_replaced(block.module, partial(_run_experts, block.module, number, visit)))
        yield


@contextmanager
def forward_replaced(module: nn.Module, forward: Callable[..., torch.Tensor]) -> Iterator[None]:
    """Run the block with another forward of a module; what it had before is back after it."""
    before = module.__dict__.get("forward")  # a library may have put one of its own before the class's
    module.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before  # type: ignore[method-assign]


@contextmanager
def frozen(model: PreTrainedModel) -> Iterator[None]:
    """Run the block with no parameter that gets gradients; which ones do is as before after it."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, trained in before:
            parameter.requires_grad_(trained)


def know_identities(model: PreTrainedModel, own: str, parent: str | None) -> None:
    """Let a model know its own identity and that of the model it was trained from: it takes neurons of these alone."""
    setattr(model, IDENTITIES, (own, parent))


def flags_of_blocks(model: PreTrainedModel, neurons: NeuronSet) -> list[torch.Tensor]:
    """Which neurons of each block are in the set: bool (d_ff,) each.

    Raises:
        ValueError: the set belongs to a model of another shape.
        UserError: it was selected on another model, of those that know their identities.
    """
    if neurons.widths != tuple(widths(model)):
        raise ValueError(f"the neurons are of layers {neurons.widths}, the model has {tuple(widths(model))}")
    known = getattr(model, IDENTITIES, None)
    if known is not None and neurons.model is not None and neurons.model not in known:
        raise UserError(
            f"the neurons were selected on model {neurons.model}, but this model is {known[0]} (trained from "
            f"{known[1]}): score and select on the same model"
        )
    return list(torch.from_numpy(neurons.selected).split([block.width for block in blocks(model)]))


def _visit_input(block: int, visit: Visit) -> Callable[..., tuple[torch.Tensor, ...]]:
    def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (visit(Site(block, None), inputs[0]), *inputs[1:])

    return hook


def _run_experts(
    module: Any,
    first: int,
    visit: Visit,
    hidden_states: torch.Tensor,
    top_k_index: torch.Tensor,
    top_k_weights: torch.Tensor,
) -> torch.Tensor:
    """A mixture's experts, each one's ω visited on the way.

    Args:
        first: the number of the first expert's block.
        hidden_states: (B · T, d).
        top_k_index, top_k_weights: (B · T, experts a token): which experts, and their weights.
    """
    output = torch.zeros_like(hidden_states)
    for expert in range(len(module.down_proj)):
        tokens, slots = torch.where(top_k_index == expert)
        if not len(tokens):
            continue
        gate, up = nn.functional.linear(hidden_states[tokens], module.gate_up_proj[expert]).chunk(2, dim=-1)
        omega = visit(Site(first + expert, tokens), module.act_fn(gate) * up)
        written = nn.functional.linear(omega, module.down_proj[expert]) * top_k_weights[tokens, slots, None]
        output.index_add_(0, tokens, written.to(output.dtype))
    return output


def dense_only(model: PreTrainedModel, what: str) -> Family:
    """The entry of the model's family.

    Raises:
        UserError: the model is a mixture of experts; the message says that `what` is not available for it.
    """
    if any(block.expert is not None for block in blocks(model)):
        raise UserError(f"{what} is not available for mixtures of experts ({model.config.model_type})")
    return family_of(model)


def gates(model: PreTrainedModel) -> list[nn.Module] | None:
    """The activation modules whose outputs are act(gate), from the bottom layer up; None in a family without gates.

    Raises:
        UserError: the model is a mixture of experts.
    """
    path = dense_only(model, "the activation of gates").gate
    return None if path is None else [layer.get_submodule(path) for layer in layers(model)]


def experts(model: PreTrainedModel) -> list[int | None]:
    """The number of experts of each layer from the bottom up, None where it is dense."""
    found: dict[int, int | None] = {}
    for block in blocks(model):
        found[block.layer] = None if block.expert is None else block.expert + 1
    return list(found.values())


def widths(model: PreTrainedModel) -> list[int]:
    """The number of neurons of each layer, of all its experts together, from the bottom up."""
    found: dict[int, int] = {}
    for block in blocks(model):
        found[block.layer] = found.get(block.layer, 0) + block.width
    return list(found.values())
