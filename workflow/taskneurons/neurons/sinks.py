"""Attention sinks: tokens that heads attend to when they have nothing to attend to.

Their residual states are some hundred times as large as other tokens', and a few neurons with enormous outputs make
them so. Such an output is no mean to replace a neuron by, and a sink without it is no sink any more: mean outputs are
taken over all other tokens, and under mean ablation sinks keep what their neurons write.

In every family of `families.FAMILIES` the sink is known by its place: it is a text's first token, whichever that is
(the start token where the tokenizer puts one before a text). Some models have further ones, such as the first full stop
in Llama-2-7b: `attribution/mean_outputs.py` counts tokens elsewhere whose states are as large, and warns of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


def sinks(attention_mask: torch.Tensor) -> torch.Tensor:
    """Which tokens are sinks: bool (B, T), True at each row's first attended token, whatever side is padded."""
    return (attention_mask.cumsum(dim=1) == 1) & (attention_mask == 1)


class SinksAtHand:
    """Where the sinks are among the tokens of the forward pass that runs; bool (B, T)."""

    def __init__(self) -> None:
        self.of_pass = torch.zeros(0, 0, dtype=torch.bool)

    @property
    def tokens(self) -> int:
        """T of the forward pass that runs."""
        return self.of_pass.shape[1]

    def take(self, module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Hook before a model's forward.

        With cached tokens the attention mask is longer than the input. Where nothing is padded, there may be none
        (generation leaves it out): then the cache says how many tokens went before.
        """
        ids: torch.Tensor = options["input_ids"]
        mask, cache = options.get("attention_mask"), options.get("past_key_values")
        if mask is None:
            before = 0 if cache is None else cache.get_seq_length()
            mask = ids.new_ones(len(ids), before + ids.shape[1])
        self.of_pass = sinks(mask)[:, -ids.shape[1] :]

    def like(self, tokens: torch.Tensor | None, omega: torch.Tensor) -> torch.Tensor:
        """Which rows of ω are sinks, with a last axis of 1 to broadcast over its neurons.

        Args:
            tokens: as `Site.tokens`: which of the B · T tokens the rows are; None for all.
            omega: (B, T, d_ff), (B · T, d_ff) or, of some tokens, (n, d_ff).
        """
        flags = self.of_pass.to(omega.device)
        rows = flags.reshape(-1) if tokens is None else flags.reshape(-1)[tokens]
        return rows.reshape(*omega.shape[:-1], 1)


@contextmanager
def sinks_at_hand(model: PreTrainedModel) -> Iterator[SinksAtHand]:
    """Know the sinks of every forward pass of the block, which has to get input_ids by name (and the mask, if any)."""
    found = SinksAtHand()
    handle = model.register_forward_pre_hook(found.take, with_kwargs=True)
    try:
        yield found
    finally:
        handle.remove()
