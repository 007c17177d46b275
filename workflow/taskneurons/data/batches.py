"""Batches of examples: of similar length, within a token budget, and halved where the memory is too small."""

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from taskneurons.core.errors import UserError

Result = TypeVar("Result")


def by_length(lengths: Sequence[int], batch_size: int, batch_tokens: int | None = None) -> list[list[int]]:
    """Batches of indices of similar length, the longest first.

    Args:
        lengths: tokens of each example.
        batch_size: the most examples in a batch.
        batch_tokens: the most tokens in a batch, padding counted; a longer example is a batch by itself.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches = []
    while order:
        fitting = batch_size if batch_tokens is None else min(batch_size, batch_tokens // max(1, lengths[order[0]]))
        batches.append(order[: max(1, fitting)])
        order = order[max(1, fitting) :]
    return batches


def in_halves(rows: list[int], work: Callable[[list[int]], Result]) -> Iterator[tuple[list[int], Result]]:
    """`work(rows)`, or, where that raises `torch.OutOfMemoryError`, the work on each half, and so on down to one row.

    A GPU raises that error; a CPU's kernel ends the process instead, which is what a token budget is for.

    Returns:
        Pairs of rows and the work's result on them.

    Raises:
        UserError: the memory is too small for a single row.
    """
    try:
        result = work(rows)
    except torch.OutOfMemoryError as problem:
        if len(rows) == 1:
            raise UserError(
                f"the device's memory is too small for one example ({problem}): lower the token budgets in "
                "data.tokens, set compute.frozen_weights: compute, or take a larger device"
            ) from problem
    else:
        yield rows, result
        return
    # Only here, outside the handler, nothing refers to the failed attempt's tensors any more.
    gc.collect()
    torch.cuda.empty_cache()
    middle = len(rows) // 2
    yield from in_halves(rows[:middle], work)
    yield from in_halves(rows[middle:], work)
