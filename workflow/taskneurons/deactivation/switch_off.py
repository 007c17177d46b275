"""Switching neurons off: their outputs ω are without effect while a block runs (section 2 of the paper)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons.neurons.blocks import Site, blocks, flags_of_blocks, visiting_outputs
from taskneurons.neurons.matrices import reader_columns
from taskneurons.neurons.neuron_set import NeuronSet


@contextmanager
def deactivated(model: PreTrainedModel, neurons: NeuronSet | None) -> Iterator[None]:
    """Run the block with the outputs of `neurons` without effect: their columns of the readers are zero.

    That equals setting the outputs themselves to zero, and costs no time in the block: there is no hook. With None
    nothing is switched off. The columns' very bits are back after the block, also after an exception.

    Raises:
        ValueError: the set belongs to a model of another shape.
    """
    if neurons is None:
        yield
        return
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
def deactivated_by_row(model: PreTrainedModel, neurons: Sequence[int | None]) -> Iterator[None]:
    """Run the block with another neuron switched off in each row of the batch: row r loses `neurons[r]`.

    Args:
        neurons: the position of one neuron a row, among all neurons of the model; None for a row that loses none.
    """
    ends = np.cumsum([block.width for block in blocks(model)])
    positions = np.array([ends[-1] if neuron is None else neuron for neuron in neurons])  # None: of no block
    of_block = np.searchsorted(ends, positions, side="right")
    columns = positions - np.append(0, ends)[of_block]
    tokens = 0

    def count_tokens(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        nonlocal tokens
        tokens = options["input_ids"].shape[1]

    def switch_off(site: Site, omega: torch.Tensor) -> torch.Tensor:
        rows = np.flatnonzero(of_block == site.block)
        if not len(rows):
            return omega
        # Which row each token belongs to, as a column beside ω's rows: tokens of other rows keep the neuron.
        flat = omega.reshape(-1, omega.shape[-1]).clone()
        which = torch.arange(len(flat), device=omega.device) if site.tokens is None else site.tokens
        for row in rows:
            flat[which // tokens == row, columns[row]] = 0
        return flat.reshape(omega.shape)

    handle = model.register_forward_pre_hook(count_tokens, with_kwargs=True)
    try:
        with visiting_outputs(model, switch_off):
            yield
    finally:
        handle.remove()
