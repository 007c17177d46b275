"""Switching neurons off (section 2 of the paper): their outputs ω are replaced while a block runs.

Zero ablation, the paper's, puts 0 in their place; mean ablation puts each neuron's mean output ω̄ there, except at
attention sinks, which keep what their neurons write (`neurons/sinks.py`). An output that is large and constant says
nothing about a task, but a model that loses it breaks: zero ablation counts it as a loss, mean ablation does not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from transformers import PreTrainedModel

from taskneurons.config.settings import Ablation
from taskneurons.neurons.blocks import Site, blocks, flags_of_blocks, visiting_outputs
from taskneurons.neurons.matrices import reader_columns
from taskneurons.neurons.mean_outputs import MeanOutputs
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.neurons.sinks import sinks_at_hand


@contextmanager
def deactivated(model: PreTrainedModel, neurons: NeuronSet | None, means: MeanOutputs | None = None) -> Iterator[None]:
    """Run the block with the outputs of `neurons` replaced by zero, or by their means where those are given.

    With None nothing is switched off. The weights' very bits are back after the block, also after an exception.

    Raises:
        ValueError: the set belongs to a model of another shape.
        UserError: the set or the means belong to another model.
    """
    if neurons is None:
        yield
    elif means is None:
        with _zero_columns(model, neurons):
            yield
    else:
        with _outputs_at_means(model, neurons, means):
            yield


@contextmanager
def _zero_columns(model: PreTrainedModel, neurons: NeuronSet) -> Iterator[None]:
    """Zero ablation: the neurons' columns of the readers are zero, which costs no time in the block (no hook)."""
    switched_off = []
    for weight, flags in zip(reader_columns(model), flags_of_blocks(model, neurons), strict=True):
        columns = weight.detach()  # (outputs, neurons), a view of the model's parameter
        index = flags.nonzero()[:, 0].to(columns.device)
        switched_off.append((columns, index, columns.index_select(1, index)))
    try:
        for columns, index, _ in switched_off:
            columns.index_fill_(1, index, 0)
        yield
    finally:
        for columns, index, before in switched_off:
            columns.index_copy_(1, index, before)


@contextmanager
def _outputs_at_means(model: PreTrainedModel, neurons: NeuronSet, means: MeanOutputs) -> Iterator[None]:
    """Mean ablation: what the readers get of the neurons is their means, but of sinks their own outputs.

    The model's forward has to get its input_ids by name.
    """
    first = blocks(model)[0].module
    device, dtype = next(first.parameters()).device, next(first.parameters()).dtype
    replaced = [
        (flags.to(device), torch.where(flags, values, 0).to(device, dtype)) if flags.any() else None
        for flags, values in zip(flags_of_blocks(model, neurons), means.of_blocks(model), strict=True)
    ]

    def replace(site: Site, omega: torch.Tensor) -> torch.Tensor:
        found = replaced[site.block]
        if found is None:
            return omega
        flags, values = (part.to(omega.device) for part in found)
        return torch.where(flags & ~at_hand.like(site.tokens, omega), values.to(omega.dtype), omega)

    with sinks_at_hand(model) as at_hand, visiting_outputs(model, replace):
        yield


@contextmanager
def deactivated_by_row(
    model: PreTrainedModel, neurons: Sequence[int | None], means: MeanOutputs | None = None
) -> Iterator[None]:
    """Run the block with another neuron switched off in each row of the batch: row r loses `neurons[r]`.

    Args:
        neurons: the position of one neuron a row, among all neurons of the model; None for a row that loses none.
        means: what their outputs are replaced by, sinks' excepted; None for zero.
    """
    ends = np.cumsum([block.width for block in blocks(model)])
    positions = np.array([ends[-1] if neuron is None else neuron for neuron in neurons])  # None: of no block
    of_block = np.searchsorted(ends, positions, side="right")
    columns = positions - np.append(0, ends)[of_block]
    values = np.zeros(ends[-1] + 1) if means is None else np.append(np.concatenate(means.of_blocks(model)), 0)

    def switch_off(site: Site, omega: torch.Tensor) -> torch.Tensor:
        rows = np.flatnonzero(of_block == site.block)
        if not len(rows):
            return omega
        # Which row each token belongs to, as a column beside ω's rows: tokens of other rows keep the neuron.
        flat = omega.reshape(-1, omega.shape[-1]).clone()
        which = torch.arange(len(flat), device=omega.device) if site.tokens is None else site.tokens
        kept = at_hand.like(site.tokens, omega).flatten() & (means is not None)
        for row in rows:
            flat[(which // at_hand.tokens == row) & ~kept, columns[row]] = float(values[positions[row]])
        return flat.reshape(omega.shape)

    with sinks_at_hand(model) as at_hand, visiting_outputs(model, switch_off):
        yield


class WithSetsOff:
    """What is measured of a model with one set off after another; equal sets (every task's shared core) are tried once.

    Args:
        replaced_by: ablation → what it puts in an output's place; None for zero.
        measure: what is measured while a set is off.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        replaced_by: Mapping[Ablation, MeanOutputs | None],
        measure: Callable[[], list[float]],
    ) -> None:
        self.model, self.replaced_by, self.measure = model, replaced_by, measure
        self.known: dict[tuple[str, bytes], list[float]] = {}

    def values(self, neurons: NeuronSet | None, ablation: Ablation = "zero") -> list[float]:
        """The values with a set off; with None or an empty set those of the model as it is."""
        off = neurons if neurons is not None and len(neurons) else None
        key = ("none", b"") if off is None else (ablation, off.selected.tobytes())
        if key not in self.known:
            with deactivated(self.model, off, self.replaced_by[ablation]):
                self.known[key] = self.measure()
        return self.known[key]
