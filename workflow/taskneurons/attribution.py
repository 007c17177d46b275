"""Attribution scores of one task: R = |∂L/∂ω · ω| for every FFN neuron (section 1 of the paper).

ω_j is the output of neuron j, after activation and gate. L of a sample is the mean (optionally the sum) negative
log-likelihood of its own target tokens. By default the products are summed over a sample's tokens, made absolute and
averaged over samples: the first-order estimate of how much that sample's loss changes when the neuron is switched
off. The other aggregations are per-token (|·| at every token, mean over samples of the sum) and total (|·| of the
sum over everything, per sample).

Besides the scores, bootstrap replicates are written: the same aggregate over resampled examples.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons import command
from taskneurons.artifacts import write_frame
from taskneurons.encoding import Batch, at_least_float32, by_length, collate, sample_losses
from taskneurons.feed_forward import readers, widths
from taskneurons.models import LoadedModel, load_model
from taskneurons.neuron_set import neuron_index
from taskneurons.progress import progress
from taskneurons.task import Task, read_task


@contextmanager
def neuron_outputs(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """Collect ω of every layer, (B, T, d_ff) each, from the forward passes of the block; leaves no hook behind."""
    outputs: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        omega = inputs[0]
        if not omega.requires_grad:  # below the first layer nothing asks for a gradient: start the graph here
            omega = omega.detach().requires_grad_()
        outputs.append(omega)
        return (omega, *inputs[1:])

    handles = [reader.register_forward_pre_hook(keep) for reader in readers(model)]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def sample_products(model: PreTrainedModel, batch: Batch, loss: str = "mean", per_token: bool = False) -> torch.Tensor:
    """Σ_tokens ω·∂L/∂ω of every sample and neuron, (B, n_neurons), or Σ_tokens |ω·∂L/∂ω| with `per_token`.

    The samples of a batch do not interact, so the gradient of the sum of their losses is each one's own. Padding
    follows the last target token, which no loss looks at: its products are zero.
    """
    with torch.enable_grad(), neuron_outputs(model) as outputs:
        total = sample_losses(model, batch, loss).sum()
        gradients = torch.autograd.grad(total, outputs)
    sums = []
    for omega, gradient in zip(outputs, gradients, strict=True):
        products = at_least_float32(omega.detach()) * at_least_float32(gradient)  # (B, T, d_ff)
        sums.append((products.abs() if per_token else products).sum(dim=1))
    return torch.cat(sums, dim=1)


def resampling_weights(samples: int, replicates: int, task: str, seed: int) -> np.ndarray:
    """How often each bootstrap replicate holds each sample: (replicates, samples), every row sums to `samples`.

    Tasks are resampled independently of each other.
    """
    return np.random.default_rng([seed, *task.encode()]).multinomial(
        samples, np.full(samples, 1 / samples), size=replicates
    )


def attribute(loaded: LoadedModel, task: Task, settings: dict[str, Any], seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Score every neuron on a task's examples.

    Args:
        settings: aggregation, loss ("mean" or "sum"), batch_size, bootstrap (number of replicates).

    Returns:
        The scores (columns layer, neuron, score, signed_score, n_samples) and the bootstrap replicates of the score,
        float32 (replicates, n_neurons).
    """
    model = loaded.model.requires_grad_(False)
    examples = task.encoded(loaded.tokenizer)
    pairs = [(example.prompt, example.target) for example in examples]
    batches = by_length([len(prompt) + len(target) for prompt, target in pairs], settings["batch_size"])
    how = settings["aggregation"]
    samples, neurons = len(pairs), sum(widths(model))
    weights = torch.from_numpy(resampling_weights(samples, settings["bootstrap"], task.key, seed)).double()
    score = torch.zeros(neurons, dtype=torch.float64)
    signed = torch.zeros(neurons, dtype=torch.float64)
    replicates = torch.zeros(len(weights), neurons, dtype=torch.float64)
    for rows in progress(batches, f"attribution {task.key}", len(batches)):
        batch = collate([pairs[row] for row in rows], loaded.compute.device)
        with loaded.compute.autocast():
            products = sample_products(model, batch, settings["loss"], how == "token").cpu().double()
        values = products.abs() if how == "sample" else products
        score += values.sum(dim=0)
        signed += products.sum(dim=0)
        replicates += weights[:, rows] @ values
    frame = neuron_index(widths(model))
    frame["score"] = (score.abs() / samples).numpy()
    frame["signed_score"] = (signed / samples).numpy()
    frame["n_samples"] = samples
    if how == "token":
        frame["signed_score"] = np.nan  # the sign is gone at every token
    return frame, (replicates.abs() / samples).float().numpy()


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    loaded = load_model(arguments.model, spec["compute"])
    task = read_task(arguments.data)
    frame, replicates = attribute(loaded, task, spec["attribution"], spec["seed"])
    metadata = {
        "spec": spec,
        "task": task.key,
        "data_hash": task.data_hash,
        "model": loaded.identity["identity"],
        "widths": widths(loaded.model),
        "dtype": loaded.compute.dtype_name,
    }
    write_frame(arguments.scores, frame, "scores", metadata)
    columns = {f"replicate_{number}": values for number, values in enumerate(replicates)}
    bootstrap = pd.concat([frame[["layer", "neuron"]], pd.DataFrame(columns)], axis=1)
    write_frame(arguments.bootstrap, bootstrap, "score replicates", metadata)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the model's folder")
    options.add_argument("--data", type=Path, required=True, help="the task's attribution split (Parquet)")
    options.add_argument("--scores", type=Path, required=True, help="write the scores here (Parquet)")
    options.add_argument("--bootstrap", type=Path, required=True, help="write the replicates here (Parquet)")
    command.run(main, options)
