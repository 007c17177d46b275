"""The parts of a loaded model that make and read its neurons' outputs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons.errors import UserError
from taskneurons.families import FeedForward, feed_forward
from taskneurons.neuron_set import NeuronSet


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
class Place:
    """Where a tensor ω comes from.

    Attributes:
        block: the place of its block among the model's blocks.
        tokens: (n,), which of the B · T tokens the rows of ω are; None if they are all of them in order, as
            (B, T, d_ff) or (B · T, d_ff).
    """

    block: int
    tokens: torch.Tensor | None

    def by_sample(self, values: torch.Tensor, samples: int, tokens: int) -> torch.Tensor:
        """Values of this place's tokens as (B, T, d_ff), zero where a token did not come by.

        Args:
            values: (…, d_ff), a row a token.
            samples, tokens: B and T.
        """
        if self.tokens is not None:
            values = values.new_zeros(samples * tokens, values.shape[-1]).index_copy(0, self.tokens, values)
        return values.reshape(samples, tokens, values.shape[-1])


Visit = Callable[[Place, torch.Tensor], torch.Tensor]


def family_of(model: PreTrainedModel) -> FeedForward:
    """The entry of the model's family.

    Raises:
        UserError: the family has no entry, or the model bypasses its FFN modules.
    """
    config = model.config
    if config.model_type == "bloom" and config.slow_but_exact and config.pretraining_tp > 1:
        raise UserError("Bloom with slow_but_exact and pretraining_tp > 1 bypasses its FFN modules: switch it off")
    return feed_forward(config.model_type)


def _layers(model: PreTrainedModel) -> list[nn.Module]:
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
    family = family_of(model)
    result = []
    for number, layer in enumerate(_layers(model)):
        experts = _submodule(layer, family.experts)
        if experts is None:
            reader = layer.get_submodule(family.reader)
            width = cast(torch.Tensor, reader.weight).shape[family.neuron_axis]
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
        for place, block in enumerate(blocks(model)):
            if block.expert is None:
                stack.callback(block.module.register_forward_pre_hook(_visit_input(place, visit)).remove)
            elif block.expert == 0:
                stack.enter_context(forward_replaced(block.module, partial(_run_experts, block.module, place, visit)))
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


def flags_of_blocks(model: PreTrainedModel, neurons: NeuronSet) -> list[torch.Tensor]:
    """Which neurons of each block are in the set: bool (d_ff,) each.

    Raises:
        ValueError: the set belongs to a model of another shape.
    """
    if neurons.widths != tuple(widths(model)):
        raise ValueError(f"the neurons are of layers {neurons.widths}, the model has {tuple(widths(model))}")
    return list(torch.from_numpy(neurons.selected).split([block.width for block in blocks(model)]))


def _visit_input(place: int, visit: Visit) -> Callable[..., tuple[torch.Tensor, ...]]:
    def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (visit(Place(place, None), inputs[0]), *inputs[1:])

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
        first: the place of the first expert's block.
        hidden_states: (B · T, d).
        top_k_index, top_k_weights: (B · T, experts a token): which experts, and their weights.
    """
    output = torch.zeros_like(hidden_states)
    for expert in range(len(module.down_proj)):
        tokens, slots = torch.where(top_k_index == expert)
        if not len(tokens):
            continue
        gate, up = nn.functional.linear(hidden_states[tokens], module.gate_up_proj[expert]).chunk(2, dim=-1)
        omega = visit(Place(first + expert, tokens), module.act_fn(gate) * up)
        written = nn.functional.linear(omega, module.down_proj[expert]) * top_k_weights[tokens, slots, None]
        output.index_add_(0, tokens, written.to(output.dtype))
    return output


def dense_only(model: PreTrainedModel, what: str) -> FeedForward:
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
    return None if path is None else [layer.get_submodule(path) for layer in _layers(model)]


def reader_columns(model: PreTrainedModel) -> list[torch.Tensor]:
    """Each block's reader weight as (outputs, neurons), whatever way its family stores it; a view, not a copy."""
    axis = family_of(model).neuron_axis
    return [
        cast(torch.Tensor, block.module.weight).movedim(axis, 1)
        if block.expert is None
        else cast(torch.Tensor, block.module.down_proj)[block.expert]
        for block in blocks(model)
    ]


@dataclass(frozen=True)
class Matrix:
    """A linear map of an FFN: a writer, whose outputs make ω, or the reader, whose input is ω.

    Attributes:
        name: its path in the model.
        module: with a `weight`, and perhaps a `bias`.
        reads: whether it is the reader.
        neuron_axis: the axis of its weight along which the neurons run. A writer's may hold them twice (gate and up in
            one matrix).
    """

    name: str
    module: nn.Module
    reads: bool
    neuron_axis: int

    @property
    def weight(self) -> nn.Parameter:
        return cast(nn.Parameter, self.module.weight)

    @property
    def bias(self) -> nn.Parameter | None:
        return cast(nn.Parameter | None, getattr(self.module, "bias", None))

    @property
    def outputs_first(self) -> torch.Tensor:
        """The weight as (outputs, inputs), whatever way its family stores it; a view, not a copy."""
        return self.weight if (self.neuron_axis == 1) == self.reads else self.weight.T

    def neuron_parameters(self) -> dict[str, tuple[nn.Parameter, int]]:
        """The parameters that hold the neurons' own entries, by name, each with its neuron axis.

        The reader's bias belongs to no neuron.
        """
        found = {"weight": (self.weight, self.neuron_axis)}
        if self.bias is not None and not self.reads:
            found["bias"] = (self.bias, 0)
        return {f"{self.name}.{name}": place for name, place in found.items()}


def matrices(model: PreTrainedModel) -> list[list[Matrix]]:
    """Each layer's matrices, writers first, from the bottom layer up.

    Raises:
        UserError: the model is a mixture of experts.
    """
    family = dense_only(
        model, "neuron tuning (config: leave neuron_tuning out) or what else needs each neuron's parameters"
    )
    paths = [(path, False) for path in family.writers] + [(family.reader, True)]
    return [
        [
            Matrix(
                f"{family.layers}.{number}.{path}",
                layer.get_submodule(path),
                reads,
                family.neuron_axis if reads else 1 - family.neuron_axis,
            )
            for path, reads in paths
        ]
        for number, layer in enumerate(_layers(model))
    ]


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
