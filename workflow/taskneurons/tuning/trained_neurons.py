"""Training selected neurons alone: their rows, columns and biases become parameters of their own (section 2).

The rest of the model stays frozen in place. A selected neuron's entries are trained as a *part*: a compact parameter
of its own, in float32 or wider, whose values are copied back into the model's weights after each optimiser step, so
that the model as it stands is always the trained one. Weight gradients are computed, and the optimiser holds state, for
the parts only; the model runs through its own modules' weights, and needs no hook once the training is over.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons.data.encoding import at_least_float32
from taskneurons.neurons.blocks import flags_of_blocks, forward_replaced, frozen
from taskneurons.neurons.matrices import Matrix, matrices
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.training.loop import Trained


@dataclass(frozen=True)
class Slice:
    """The selected neurons' entries of one parameter of the model.

    Attributes:
        name: the parameter's name in the model.
        whole: the parameter.
        axis: the axis along which its neurons run.
        index: (n,), the positions of the selected neurons along that axis.
    """

    name: str
    whole: nn.Parameter
    axis: int
    index: torch.Tensor

    def read(self) -> torch.Tensor:
        """A copy of the entries, (n, …): a neuron's entries are a row."""
        return self.whole.detach().index_select(self.axis, self.index).movedim(self.axis, 0).contiguous()

    @torch.no_grad()
    def write(self, entries: torch.Tensor) -> None:
        """Put entries of the form that `read` gives into the model's parameter."""
        values = entries.detach().movedim(0, self.axis).to(self.whole)
        self.whole.index_copy_(self.axis, self.index, values)


def slices_of(model: PreTrainedModel, neurons: NeuronSet) -> list[tuple[Matrix, list[Slice]]]:
    """The selected neurons' entries: for each FFN matrix that has some, the slices of its weight and of its bias.

    Raises:
        UserError: the model is a mixture of experts.
        ValueError: the set belongs to a model of another shape.
    """
    found = []
    for layer, flags in zip(matrices(model), flags_of_blocks(model, neurons), strict=True):
        if not flags.any():
            continue
        for matrix in layer:
            size = matrix.weight.shape[matrix.neuron_axis]
            index = flags.repeat(size // len(flags)).nonzero()[:, 0].to(matrix.weight.device)
            parts = [Slice(name, whole, axis, index) for name, (whole, axis) in matrix.neuron_parameters().items()]
            found.append((matrix, parts))
    return found


@contextmanager
def entries_put_back(slices: list[Slice]) -> Iterator[None]:
    """Run the block; the slices' entries of before, to the bit, are back after it."""
    before = [one.read().cpu() for one in slices]  # not on a GPU, whose memory the training needs
    try:
        yield
    finally:
        for one, entries in zip(slices, before, strict=True):
            one.write(entries)


class NeuronLinear(torch.autograd.Function):
    """x·Wᵀ + b of a frozen W and b, with gradients for x and for the selected neurons' entries of W and b only."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        index: torch.Tensor,
        reads: bool,
        weight_part: torch.Tensor,
        bias_part: torch.Tensor | None,
    ) -> torch.Tensor:
        """The outputs (…, outputs).

        Args:
            x: (…, inputs).
            weight: (outputs, inputs), with the current values of the parts in it.
            index: the positions of the selected neurons among the inputs (of a reader) or the outputs (of a writer).
            reads: whether it is a reader.
            weight_part, bias_part: the selected neurons' entries, only there to get gradients: (n, outputs) of a
                reader; (n, inputs) and (n,) of a writer.
        """
        device = x.device.type
        x = x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x
        rows = x.reshape(-1, x.shape[-1])
        # A reader's gradient needs the selected inputs alone (taken from rows: half the time of taking them from three
        # axes). The weight is kept as it is, not its cast copy.
        ctx.save_for_backward(rows.index_select(1, index) if reads else rows, weight, index)
        ctx.reads = reads
        # Not `linear`: with a bias that gives a view, which must not be changed in place behind a custom function.
        output = x @ weight.T.to(x.dtype)
        return output if bias is None else output.add_(bias)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        kept, weight, index = ctx.saved_tensors
        to_input = gradient @ weight.to(gradient.dtype) if ctx.needs_input_grad[0] else None
        rows = gradient.reshape(-1, gradient.shape[-1])
        if ctx.reads:
            return to_input, None, None, None, None, kept.T @ rows, None
        rows = rows.index_select(1, index)
        to_bias = at_least_float32(rows).sum(dim=0) if ctx.needs_input_grad[6] else None
        return to_input, None, None, None, None, rows.T @ kept, to_bias


class TrainedNeurons(Trained):
    """The trainable parts of selected neurons.

    Attributes:
        neurons: which neurons.
        slices: where in the model each part belongs.
        parts: the parameters to train, one for each slice, in at least float32.
    """

    def __init__(self, neurons: NeuronSet, slices: list[Slice]) -> None:
        self.neurons = neurons
        self.slices = slices
        self.parts = [nn.Parameter(at_least_float32(one.read())) for one in slices]

    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser trains."""
        return self.parts

    def write_back(self) -> None:
        """Put the parts' values into the model: to be called after each step of the optimiser."""
        for one, part in zip(self.slices, self.parts, strict=True):
            one.write(part)

    def values(self) -> dict[str, torch.Tensor]:
        """The parts' values by the names of the model's parameters."""
        return {one.name: part.detach() for one, part in zip(self.slices, self.parts, strict=True)}


@contextmanager
def trained_neurons(model: PreTrainedModel, neurons: NeuronSet) -> Iterator[TrainedNeurons]:
    """Run the block with the selected neurons trainable and everything else frozen; no hook is left behind.

    The model keeps what was written back.

    Raises:
        UserError: the model is a mixture of experts.
        ValueError: the set belongs to a model of another shape.
    """
    found = slices_of(model, neurons)
    trained = TrainedNeurons(neurons, [one for _, slices in found for one in slices])
    parts = iter(trained.parts)
    with frozen(model), ExitStack() as stack:
        for matrix, slices in found:
            own = [next(parts) for _ in slices]
            stack.enter_context(forward_replaced(matrix.module, partial(_forward, matrix, slices[0].index, *own)))
        yield trained


def _forward(
    matrix: Matrix,
    index: torch.Tensor,
    weight_part: torch.Tensor,
    *arguments: torch.Tensor,
) -> torch.Tensor:
    """A matrix's forward: `arguments` are the part of its bias, if that is trained, and the input."""
    *bias_part, x = arguments
    return NeuronLinear.apply(
        x,
        matrix.outputs_first.detach(),
        matrix.bias,
        index,
        matrix.reads,
        weight_part,
        bias_part[0] if bias_part else None,
    )
