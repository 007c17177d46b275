"""Switching neurons off: their outputs ω are set to zero while a block runs (section 2 of the paper)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons.feed_forward import readers, widths
from taskneurons.neuron_set import NeuronSet


@contextmanager
def deactivated(model: PreTrainedModel, neurons: NeuronSet | None) -> Iterator[None]:
    """Run the block with the outputs of `neurons` set to zero, which equals zeroing their columns of the reader.

    With None nothing is switched off. No hook is left behind, also after an exception.

    Raises:
        ValueError: the set belongs to a model of another shape.
    """
    handles = []
    try:
        if neurons is not None:
            if neurons.widths != tuple(widths(model)):
                raise ValueError(f"the neurons are of layers {neurons.widths}, the model has {tuple(widths(model))}")
            for reader, flags in zip(readers(model), neurons.by_layer(), strict=True):
                if flags.any():
                    off = torch.from_numpy(flags).to(reader.weight.device)  # (d_ff,)
                    handles.append(reader.register_forward_pre_hook(_switch_off(off)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _switch_off(off: torch.Tensor):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0].masked_fill(off, 0), *inputs[1:])  # ω: (B, T, d_ff)

    return hook
