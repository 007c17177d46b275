"""Prefixes (prefix tuning, Li and Liang 2021): keys and values that all tokens of an input attend to, in every layer.

PEFT's own prefix tuning wraps the model, and its wrapper has to be called in the model's place, while this project
calls the model it has, for losses, for labels and for generation. So here the model's forward is replaced for a block,
and puts the prefix into the cache of keys and values, as PEFT's does, by which it works with a mask of the logits to
keep (prompt tuning, which lengthens the input, would not). Unlike with PEFT's, tokens keep the positions that they have
without a prefix, so that none lies beyond a table of positions. Gradient checkpointing drops the cache: a prefix is
trained without.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache

from taskneurons.continual.method import Stage, start_of
from taskneurons.evaluation.left_padding import takes_positions
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import forward_replaced, layers
from taskneurons.training.loop import Trained

TOKENS = 16  # as published for EPI


@torch.no_grad()
def cache_shape(base: LoadedModel) -> tuple[int, int]:
    """The heads, and the width of each one's keys and values, in the model's cache."""
    token = torch.zeros(1, 1, dtype=torch.long, device=base.compute.device)
    with base.compute.autocast():
        cache = base.model(input_ids=token, use_cache=True).past_key_values
    _, heads, _, width = cache.layers[0].keys.shape
    return heads, width


def new_prefix(stage: Stage) -> nn.Parameter:
    """A prefix to start a task with, of normal random numbers, as PEFT's: (layers, 2, heads, tokens, width).

    Of each layer there are keys and values.
    """
    heads, width = cache_shape(stage.base)
    values = torch.randn(len(layers(stage.base.model)), 2, heads, TOKENS, width, generator=start_of(stage))
    return nn.Parameter(values.to(stage.base.compute.device))


@contextmanager
def prefix_put(base: LoadedModel, prefix: torch.Tensor) -> Iterator[None]:
    """Run the block with a prefix, of the form of `new_prefix`, before all inputs; the model is as before after it."""
    own = base.model.forward
    devices = [next(layer.parameters()).device for layer in layers(base.model)]
    placed = takes_positions(base.model)

    @wraps(own)  # the library looks at the forward's parameters
    def forward(
        input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, past_key_values: Any = None, **inputs: Any
    ) -> Any:
        cache = DynamicCache() if past_key_values is None else past_key_values
        if not cache.get_seq_length():  # later steps of a generation find it there
            for number, (of_layer, device) in enumerate(zip(prefix, devices, strict=True)):
                states = of_layer.to(device, base.compute.dtype).unsqueeze(1)
                cache.update(*states.expand(-1, len(input_ids), -1, -1, -1), number)
        before = cache.get_seq_length() - prefix.shape[-2]  # tokens of earlier steps of a generation
        if placed and inputs.get("position_ids") is None:
            places = torch.arange(before, before + input_ids.shape[1], device=input_ids.device)
            inputs["position_ids"] = places.expand_as(input_ids)
        if attention_mask is None:  # a generation without padding gives none
            attention_mask = input_ids.new_ones(len(input_ids), before + input_ids.shape[1])
        seen = attention_mask.new_ones(len(attention_mask), prefix.shape[-2])
        mask = torch.cat([seen, attention_mask], dim=1)
        return own(input_ids=input_ids, attention_mask=mask, past_key_values=cache, **inputs)

    with forward_replaced(base.model, forward):
        yield


class TrainedPrefix(Trained):
    """A prefix, to be trained in place."""

    def __init__(self, prefix: nn.Parameter) -> None:
        self.prefix = prefix

    def parameters(self) -> list[nn.Parameter]:
        return [self.prefix]
