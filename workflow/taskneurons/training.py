"""The training loop: AdamW, linear warm-up and decay, gradient clipping, over (prompt, target) pairs."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from taskneurons.encoding import collate, sample_losses
from taskneurons.models import Compute
from taskneurons.progress import progress

Pair = tuple[list[int], list[int]]

# Batches are filled from windows of this many batches sorted by length: little padding, order still random.
WINDOW = 16


def training_batches(pairs: Sequence[Pair], batch_size: int, rng: random.Random) -> Iterator[list[Pair]]:
    """One epoch: every pair once, in random batches of similar length."""
    order = list(range(len(pairs)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * WINDOW):
        window = order[start : start + batch_size * WINDOW]
        window.sort(key=lambda index: len(pairs[index][0]) + len(pairs[index][1]))
        batches += [window[at : at + batch_size] for at in range(0, len(window), batch_size)]
    rng.shuffle(batches)
    for batch in batches:
        yield [pairs[index] for index in batch]


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """The share of the peak learning rate at a step: linear up over `warmup` (a share of the steps), linear down."""
    rising = max(1, round(steps * warmup))
    return min((step + 1) / rising, max(0.0, (steps - step) / max(1, steps - rising)))


def train(
    model: torch.nn.Module, pairs: Sequence[Pair], settings: dict[str, Any], compute: Compute, seed: int, what: str
) -> list[float]:
    """Train all parameters of `model` in place; the loss of a batch is the mean over its samples of L.

    Args:
        pairs: (prompt ids, target ids); only target tokens are learnt.
        settings: epochs, batch_size, learning_rate, warmup (share of the steps), weight_decay, max_gradient_norm.

    Returns:
        The loss of every step.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    epochs, batch_size = settings["epochs"], settings["batch_size"]
    steps = epochs * -(-len(pairs) // batch_size)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, steps, settings["warmup"])
    )
    model.train()
    losses = []
    batches = (batch for _ in range(epochs) for batch in training_batches(pairs, batch_size, rng))
    for batch in progress(batches, what, steps):
        with compute.autocast():
            loss = sample_losses(model, collate(batch, compute.device)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["max_gradient_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    model.eval()
    return losses
