"""Prompts of different lengths that end at the same place, so that tokens can be put behind all of them."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class LeftPadded:
    """Prompts, padded on the left.

    Attributes:
        input_ids, attention_mask: (B, T).
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor

    def extended(self, tokens: list[int]) -> "LeftPadded":
        """The same tokens behind every prompt."""
        behind = self.input_ids.new_tensor(tokens).expand(len(self.input_ids), -1)
        seen = torch.ones_like(behind)
        return LeftPadded(torch.cat([self.input_ids, behind], dim=1), torch.cat([self.attention_mask, seen], dim=1))


def left_padded(prompts: Sequence[list[int]], device: torch.device) -> LeftPadded:
    """The prompts' token ids in one batch; padding is token 0, which nothing attends to."""
    ids = torch.zeros(len(prompts), max(map(len, prompts)), dtype=torch.long)
    attention = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        start = ids.shape[1] - len(prompt)
        ids[row, start:] = torch.tensor(prompt)
        attention[row, start:] = 1
    return LeftPadded(ids.to(device), attention.to(device))


def takes_positions(model: nn.Module) -> bool:
    """Whether the model's forward can be told where tokens stand; one that cannot counts the attended tokens before."""
    return "position_ids" in inspect.signature(model.forward).parameters


def positions(model: nn.Module, attention_mask: torch.Tensor, last: int) -> dict[str, torch.Tensor]:
    """The position_ids of the last tokens, counted from each row's own start; nothing for a model that takes none."""
    if not takes_positions(model):
        return {}
    return {"position_ids": (attention_mask.cumsum(dim=1) - 1).clamp(min=0)[:, -last:]}
