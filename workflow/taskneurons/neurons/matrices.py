"""The weights of a model's FFN matrices, neuron by neuron."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons.neurons.blocks import blocks, dense_only, family_of, layers


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
        return {f"{self.name}.{name}": entry for name, entry in found.items()}


def matrices(model: PreTrainedModel) -> list[list[Matrix]]:
    """Each layer's matrices, writers first, from the bottom layer up.

    Raises:
        UserError: the model is a mixture of experts.
    """
    where = dense_only(
        model, "neuron tuning (config: leave neuron_tuning out) or what else needs each neuron's parameters"
    )
    paths = [(path, False) for path in where.writers] + [(where.reader, True)]
    return [
        [
            Matrix(
                f"{where.layers}.{number}.{path}",
                layer.get_submodule(path),
                reads,
                where.neuron_axis if reads else 1 - where.neuron_axis,
            )
            for path, reads in paths
        ]
        for number, layer in enumerate(layers(model))
    ]
