"""The training loop of everything that trains: AdamW with warm-up over (prompt, target) pairs, learning targets only.

A batch's loss is the mean over its samples of L. A batch with more tokens than `batch_tokens` goes through the model
in parts whose gradients add up, to the same step. With validation examples, L on them is measured after each epoch, and
the training may stop early; a checkpoint lets a killed training go on to the very same end.
"""

import logging
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pandas as pd
import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons.config.settings import LoopSettings, Optimisation
from taskneurons.core.errors import UserError
from taskneurons.core.progress import progress
from taskneurons.data.batches import by_length
from taskneurons.data.encoding import Pair, collate, sample_losses
from taskneurons.models.loaded import Compute
from taskneurons.training.checkpoint import Checkpoint

# Batches are filled from windows of this many batches sorted by length: little padding, order still random.
WINDOW = 16

log = logging.getLogger(__name__)


class DivergedError(UserError):
    """The loss or its gradient is no finite number: the learning rate is too large for this training."""


class Trained:
    """What a training changes, and the hooks by which a method takes part in it.

    The loop calls, in this order: `examples` once; in every step `penalty`, `project` and `write_back`; `end_stage`
    once the last step (or the return to the best epoch) is done. `state` goes into checkpoints and comes back by
    `load_state`. By default only the parameters are trained, on the given examples, and the rest does nothing.
    """

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser holds."""
        raise NotImplementedError

    def write_back(self) -> None:
        """Called after each step, once the parameters have changed."""

    def examples(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """What this training learns from: the given examples, or more (replay)."""
        return pairs

    def penalty(self, batch: Sequence[Pair]) -> torch.Tensor | None:
        """A scalar that is added to the batch's loss; its gradient reaches the parameters."""
        return None

    def project(self, gradients: Sequence[torch.Tensor]) -> None:
        """Change the gradients of the parameters that have one, in place, before they are clipped."""

    def end_stage(self) -> None:
        """Called at the end, with the trained values in the model."""

    def state(self) -> dict[str, torch.Tensor]:
        """What the hooks need besides the parameters to go on from a checkpoint."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take up what `state` gave."""


class WholeModel(Trained):
    """All parameters of a model, to be trained in place."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    def parameters(self) -> list[nn.Parameter]:
        return list(self.model.parameters())


def training_batches(pairs: Sequence[Pair], batch_size: int, rng: random.Random) -> Iterator[list[Pair]]:
    """One epoch: every pair once, in random batches of similar length."""
    order = list(range(len(pairs)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * WINDOW):
        window = order[start : start + batch_size * WINDOW]
        window.sort(key=lambda index: _length(pairs[index]))
        batches += [window[at : at + batch_size] for at in range(0, len(window), batch_size)]
    rng.shuffle(batches)
    for batch in batches:
        yield [pairs[index] for index in batch]


def _length(pair: Pair) -> int:
    return len(pair[0]) + len(pair[1])


def learning_rate_factor(step: int, steps: int, settings: Optimisation) -> float:
    """The share of the peak learning rate at a step.

    Linear up over `warmup` (a share of the steps), then, by `schedule`, linear down towards zero or constant.
    """
    rising = max(1, round(steps * settings.warmup))
    falling = max(0.0, (steps - step) / max(1, steps - rising)) if settings.schedule == "linear" else 1.0
    return min((step + 1) / rising, falling)


@torch.no_grad()
def mean_loss(model: PreTrainedModel, pairs: Sequence[Pair], settings: LoopSettings, compute: Compute) -> float:
    """The mean of L over the samples, with dropout off; the model's mode is as before afterwards."""
    training = model.training
    model.eval()
    total = 0.0
    for rows in by_length([_length(pair) for pair in pairs], settings.batch_size, settings.batch_tokens):
        with compute.autocast():
            total += sample_losses(model, collate([pairs[row] for row in rows], compute.device)).sum().item()
    model.train(training)
    return total / len(pairs)


def train(
    model: PreTrainedModel,
    trained: Trained,
    pairs: Sequence[Pair],
    settings: LoopSettings,
    compute: Compute,
    seed: int,
    what: str,
    validation: Sequence[Pair] = (),
    checkpoint: Checkpoint | None = None,
) -> pd.DataFrame:
    """Train a model in place.

    Args:
        trained: which of its parameters, and the hooks of the method that trains them.
        pairs: (prompt ids, target ids); only target tokens are learnt.
        validation: examples on which L is measured after each epoch.
        checkpoint: where the state is kept on the way. If it holds one of this training, the training goes on from
            there, on a CPU to the same end to the bit. To be removed by the caller, once the result is stored.

    Returns:
        One row a step: step, epoch, loss (without penalty), gradient_norm (before clipping), learning_rate,
        validation_loss (at the ends of epochs).

    Raises:
        DivergedError: the loss or its gradient is no finite number.
        UserError: there is nothing to learn from, patience has nothing to watch, the dtype is float16, or the
            device's memory is too small.
    """
    pairs = trained.examples(pairs)
    if not pairs:
        raise UserError(f"{what}: there are no training examples")
    if settings.patience and not validation:
        raise UserError(f"{what}: patience {settings.patience} needs validation examples: set validation above 0")
    if compute.dtype == torch.float16:
        raise UserError(f"{what}: training in float16 loses small gradients: set compute.dtype to bfloat16 or float32")
    torch.manual_seed(seed)
    rng = random.Random(seed)
    parameters = trained.parameters()
    # Fused: one pass over the parameters instead of ten, which shows in the steps of a small model.
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    optimizer.zero_grad(set_to_none=True)  # what a training that ended in an error has left
    loop = _Loop(model, trained, optimizer, settings, compute)
    epochs, steps_an_epoch = settings.epochs, -(-len(pairs) // settings.batch_size)
    steps = epochs * steps_an_epoch
    history: list[dict[str, Any]] = []
    best: list[torch.Tensor] = []
    if checkpoint and (saved := checkpoint.take_up(parameters, optimizer)):
        history, best = saved.record, saved.best
        trained.load_state(saved.state)
        trained.write_back()
        log.info("%s: going on after %d of %d steps", what, len(history), steps)
    done = len(history)
    batches = (batch for _ in range(epochs) for batch in training_batches(pairs, settings.batch_size, rng))
    with _training_mode(model, settings.gradient_checkpointing):
        for step, batch in enumerate(progress(islice(batches, done, None), what, steps - done), start=done):
            rate = settings.learning_rate * learning_rate_factor(step, steps, settings)
            loss, norm = _step(loop, batch, rate, f"{what}, step {step}")
            epoch, within = divmod(step, steps_an_epoch)
            row = {"step": step, "epoch": epoch, "loss": loss, "gradient_norm": norm, "learning_rate": rate}
            history.append({**row, "validation_loss": None})
            if validation and within == steps_an_epoch - 1:
                history[-1]["validation_loss"] = mean_loss(model, validation, settings, compute)
                if settings.patience:
                    best = [_copy(p) for p in parameters] if _epochs_since_best(history) == 0 else best
                    if _epochs_since_best(history) >= settings.patience:
                        log.info("%s: stopped after epoch %d, going back to the best one", what, epoch)
                        break
            if checkpoint and checkpoint.due():
                checkpoint.save(parameters, optimizer, best, history, trained.state())
    for parameter, values in zip(parameters, best, strict=False):  # best is empty where no epoch is gone back to
        parameter.data.copy_(values)
    trained.write_back()
    trained.end_stage()
    return pd.DataFrame(history).astype({"validation_loss": "float64"})


@contextmanager
def _training_mode(model: PreTrainedModel, gradient_checkpointing: bool) -> Iterator[None]:
    if gradient_checkpointing:
        model.activation_checkpointing_enable()
        model.disable_input_require_grads()  # a hook that this way of checkpointing does not need
    model.train()
    try:
        yield
    finally:
        model.eval()
        if gradient_checkpointing:
            model.activation_checkpointing_disable()


@dataclass(frozen=True)
class _Loop:
    """What stays the same from step to step."""

    model: PreTrainedModel
    trained: Trained
    optimizer: torch.optim.Optimizer
    settings: LoopSettings
    compute: Compute

    def backward(self, batch: Sequence[Pair]) -> float:
        """Add the gradients of the batch's loss, part by part, and of the penalty; the loss without the penalty."""
        total = 0.0
        for rows in by_length([_length(pair) for pair in batch], len(batch), self.settings.batch_tokens):
            with self.compute.autocast():
                losses = sample_losses(self.model, collate([batch[row] for row in rows], self.compute.device))
                loss = losses.sum() / len(batch)
            loss.backward()
            total += loss.item()
        penalty = self.trained.penalty(batch)
        if penalty is not None:
            penalty.backward()
        return total


def _step(loop: _Loop, batch: Sequence[Pair], rate: float, where: str) -> tuple[float, float]:
    """One step of the optimiser; the batch's loss, and the norm of its gradient before clipping."""
    for group in loop.optimizer.param_groups:
        group["lr"] = rate
    parameters = loop.trained.parameters()
    try:
        loss = loop.backward(batch)
        loop.trained.project([parameter.grad for parameter in parameters if parameter.grad is not None])
        norm = nn.utils.clip_grad_norm_(parameters, loop.settings.max_gradient_norm).item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(
                f"{where}: the loss is {loss} and its gradient's norm {norm}: lower learning_rate ({rate:.2g})"
            )
        loop.optimizer.step()
    except torch.OutOfMemoryError as problem:
        raise UserError(
            f"{where}: the device's memory is too small ({problem}): lower compute.training_batch_tokens, set "
            "compute.gradient_checkpointing: true or compute.frozen_weights: compute, or take a larger device"
        ) from problem
    loop.trained.write_back()
    loop.optimizer.zero_grad(set_to_none=True)
    return loss, norm


def _copy(parameter: nn.Parameter) -> torch.Tensor:
    return parameter.detach().to("cpu", copy=True)  # not on a GPU, whose memory the training needs


def _epochs_since_best(history: list[dict[str, Any]]) -> int:
    losses = [row["validation_loss"] for row in history if row["validation_loss"] is not None]
    return len(losses) - 1 - losses.index(min(losses))


def summary(history: pd.DataFrame) -> dict[str, Any]:
    """What a trained model's provenance says of its training."""
    return {"steps": len(history), "final_loss": float(history["loss"].tail(20).mean())}
