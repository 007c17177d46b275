"""Attribution scores of one task: R = |∂L/∂ω · ω| for every FFN neuron (section 1 of the paper).

ω_j is the output of neuron j, after activation and gate. L of a sample is the mean (optionally the sum) negative
log-likelihood of its own target tokens. By default the products are summed over a sample's tokens, made absolute and
averaged over samples: the first-order estimate of how much that sample's loss changes when the neuron is switched
off. The other aggregations are per-token (|·| at every token, mean over samples of the sum) and total (|·| of the
sum over everything, per sample).

One forward and one backward a batch: weights are frozen, so that the backward computes gradients of activations only,
and it ends at the first layer's ω; the vocabulary head runs at target positions only. A layer's products are summed
over tokens as soon as its gradient is there, in float32 at least, and over samples in float64. Nothing that grows with
the number of samples or tokens is kept.

Besides the scores, the same aggregate over resampled examples is written: bootstrap replicates, and pairs of disjoint
subsets of growing size, by which the scores' stability is judged. A task's examples can
be split over several jobs (`attribution_shard`), each of which writes its sums; `merge_attribution` makes the scores of
them.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from taskneurons import command
from taskneurons.artifacts import write_frame
from taskneurons.batches import by_length, in_halves
from taskneurons.encoding import Batch, at_least_float32, collate, sample_losses
from taskneurons.errors import UserError
from taskneurons.feed_forward import Place, blocks, experts, visiting_outputs, widths
from taskneurons.models import LoadedModel, load_model
from taskneurons.neuron_set import neuron_index
from taskneurons.progress import progress
from taskneurons.task import read_task

Pair = tuple[list[int], list[int]]


@contextmanager
def neuron_outputs(model: PreTrainedModel) -> Iterator[list[tuple[Place, torch.Tensor]]]:
    """Collect ω of every FFN, with its place, from the forward passes of the block; leaves no hook behind.

    The first layer's are the leaves of the graph: below them nothing needs a gradient.
    """
    outputs: list[tuple[Place, torch.Tensor]] = []
    first_layer = sum(block.layer == 0 for block in blocks(model))

    def keep(place: Place, omega: torch.Tensor) -> torch.Tensor:
        if place.block < first_layer:
            omega = omega.detach().requires_grad_()
        outputs.append((place, omega))
        return omega

    with visiting_outputs(model, keep):
        yield outputs


Reduction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def reduce_gradients(
    model: PreTrainedModel, batch: Batch, reduce: Reduction, loss: str = "mean", scale: float = 1.0
) -> torch.Tensor:
    """`reduce(ω, ∂L/∂ω)` of every layer, joined along the neurons, on the CPU, from one forward and one backward.

    The samples of a batch do not interact, so the gradient of the sum of their losses is each one's own. A layer is
    reduced as soon as the backward reaches it, so that no more than one layer's gradient is held.

    Args:
        reduce: from ω and its gradient, (B, T, d_ff) each, at least float32, to (…, d_ff).
        loss: L of a sample: "mean" or "sum" over its target tokens.
        scale: the loss is multiplied by it before the backward, so that small gradients survive in float16; `reduce`
            sees scaled gradients.
    """
    samples, tokens = batch.input_ids.shape
    found: dict[int, torch.Tensor] = {}

    def reduction_of(place: Place, omega: torch.Tensor) -> Callable[[torch.Tensor], None]:
        def hook(gradient: torch.Tensor) -> None:
            wide = (place.by_sample(at_least_float32(values), samples, tokens) for values in (omega, gradient))
            found[place.block] = reduce(*wide).cpu()

        return hook

    with torch.enable_grad(), neuron_outputs(model) as outputs:
        total = sample_losses(model, batch, loss).sum() * scale
        for place, omega in outputs:
            # The hook holds a detached view: omega itself would make a cycle that only the garbage collector ends.
            omega.register_hook(reduction_of(place, omega.detach()))
        torch.autograd.grad(total, [omega for _, omega in outputs if omega.is_leaf])
    return all_blocks(model, found)


def all_blocks(model: PreTrainedModel, found: dict[int, torch.Tensor]) -> torch.Tensor:
    """What was found of each block, (…, width), joined along the neurons; zeros for experts that were not visited."""
    like = next(iter(found.values()))
    parts = [
        found.get(place, like.new_zeros(*like.shape[:-1], block.width)) for place, block in enumerate(blocks(model))
    ]
    return torch.cat(parts, dim=-1)


def sample_products(model: PreTrainedModel, batch: Batch, loss: str = "mean", scale: float = 1.0) -> torch.Tensor:
    """Σ_tokens ω·∂L/∂ω of every sample and neuron, (B, n_neurons).

    Padding follows the last target token, which no loss looks at: its products are zero.
    """
    return reduce_gradients(model, batch, lambda omega, gradient: (omega * gradient).sum(dim=1), loss, scale) / scale


def signed_and_absolute_products(
    model: PreTrainedModel, batch: Batch, loss: str = "mean", scale: float = 1.0
) -> torch.Tensor:
    """Σ_tokens ω·∂L/∂ω and Σ_tokens |ω·∂L/∂ω| of every sample and neuron, (2, B, n_neurons)."""

    def both(omega: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        products = omega * gradient
        return torch.stack([products.sum(dim=1), products.abs().sum(dim=1)])

    return reduce_gradients(model, batch, both, loss, scale) / scale


def in_compute_dtype(loaded: LoadedModel, work: Callable[[float], torch.Tensor]) -> torch.Tensor:
    """`work(scale)` in the model's compute dtype, with the loss scaled down until float16 does not overflow.

    Raises:
        UserError: the result is not finite, whatever the scale.
    """
    scale = 2.0**16 if loaded.compute.dtype == torch.float16 else 1.0
    while scale >= 1:
        with loaded.compute.autocast():
            found = work(scale)
        if found.isfinite().all():
            return found
        scale /= 16
    raise UserError(
        f"the products of loss gradients and activations are not finite in {loaded.compute.dtype_name}: "
        "set compute.dtype to bfloat16 or float32"
    )


def batch_results(
    loaded: LoadedModel,
    pairs: list[Pair],
    settings: dict[str, Any],
    work: Callable[[Batch], torch.Tensor],
    what: str | None,
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """`work` on all examples in batches of similar length, which are halved where the memory is too small.

    Args:
        settings: batch_size, batch_tokens.
        what: the name of the progress bar; None for none.

    Returns:
        Pairs of row numbers and the work's result on them.
    """

    def collated(rows: list[int]) -> torch.Tensor:
        return work(collate([pairs[row] for row in rows], loaded.compute.device))

    lengths = [len(prompt) + len(target) for prompt, target in pairs]
    batches = by_length(lengths, settings["batch_size"], settings["batch_tokens"])
    for batch in batches if what is None else progress(batches, what, len(batches)):
        yield from in_halves(batch, collated)


def resampling_weights(samples: int, replicates: int, task: str, seed: int) -> np.ndarray:
    """How often each bootstrap replicate holds each sample: (replicates, samples), every row sums to `samples`.

    Tasks are resampled independently of each other.
    """
    return np.random.default_rng([seed, *task.encode()]).multinomial(
        samples, np.full(samples, 1 / samples), size=replicates
    )


def subset_names(samples: int, sizes: list[int], repeats: int) -> list[tuple[int, int, str]]:
    """(size, repeat, side) of the subsets by which stability is judged; sizes over half of all samples are left out."""
    return [
        (size, repeat, side)
        for size in sizes
        if 2 * size <= samples
        for repeat in range(repeats)
        for side in ("a", "b")
    ]


def subset_weights(samples: int, sizes: list[int], repeats: int, task: str, seed: int) -> np.ndarray:
    """Weights (subsets, samples) that make the scores of random subsets: sides a and b of a repeat are disjoint."""
    rng = np.random.default_rng([seed, 1, *task.encode()])
    weights = np.zeros((len(subset_names(samples, sizes, repeats)), samples))
    for row, (size, _, side) in enumerate(subset_names(samples, sizes, repeats)):
        if side == "a":
            order = rng.permutation(samples)
        weights[row, order[:size] if side == "a" else order[size : 2 * size]] = samples / size
    return weights


@dataclass
class Sums:
    """Sums over samples that were scored so far; those of disjoint samples add up to those of all.

    Attributes:
        samples: how many.
        score: (n_neurons,), of each sample's |sum|, sum of |·|, or signed sum, as the aggregation says; float64.
        signed: (n_neurons,), of each sample's signed sum; float64.
        resampled: (replicates, n_neurons), as `score`, each sample as often as the replicate holds it; float64.
    """

    samples: int
    score: np.ndarray
    signed: np.ndarray
    resampled: np.ndarray

    @classmethod
    def none(cls, neurons: int, replicates: int) -> "Sums":
        return cls(0, np.zeros(neurons), np.zeros(neurons), np.zeros((replicates, neurons)))

    def add(self, other: "Sums") -> None:
        self.samples += other.samples
        self.score += other.score
        self.signed += other.signed
        self.resampled += other.resampled


def attribute(
    loaded: LoadedModel, pairs: list[Pair], settings: dict[str, Any], weights: np.ndarray, what: str | None
) -> Sums:
    """Score every neuron on a task's examples, or on a part of them.

    Args:
        pairs: (prompt ids, target ids) of the examples.
        settings: aggregation, loss ("mean" or "sum"), batch_size, batch_tokens.
        weights: (replicates, len(pairs)), as `resampling_weights` gives them.
        what: the name of the progress bar; None for none.
    """
    loaded.model.requires_grad_(False)
    how, loss = settings["aggregation"], settings["loss"]
    products_of = signed_and_absolute_products if how == "token" else sample_products
    sums = Sums.none(sum(widths(loaded.model)), len(weights))

    def products(batch: Batch) -> torch.Tensor:
        return in_compute_dtype(loaded, lambda scale: products_of(loaded.model, batch, loss, scale))

    for rows, found in batch_results(loaded, pairs, settings, products, what):
        products_found = found.double().numpy()
        if how == "token":
            signed, values = products_found
        else:
            signed, values = products_found, products_found if how == "total" else np.abs(products_found)
        sums.add(Sums(len(rows), values.sum(axis=0), signed.sum(axis=0), weights[:, rows] @ values))
    return sums


def score_frame(sums: Sums, index: pd.DataFrame) -> pd.DataFrame:
    """The scores: columns layer, expert, neuron (those of `index`), score, signed_score, n_samples."""
    frame = index.copy()
    frame["score"] = np.abs(sums.score) / sums.samples
    frame["signed_score"] = sums.signed / sums.samples
    frame["n_samples"] = sums.samples
    return frame


def resampled_frame(resampled: np.ndarray, names: list[str], samples: int, index: pd.DataFrame) -> pd.DataFrame:
    """The score over resampled examples: the columns of `index`, and one a name; float32.

    Args:
        resampled: rows of `Sums.resampled`, (names, n_neurons).
    """
    values = (np.abs(resampled) / samples).astype(np.float32)
    columns = pd.DataFrame(dict(zip(names, values, strict=True)))
    return pd.concat([index, columns], axis=1)


def score_task(model: Path, data: Path, spec: dict[str, Any], shard: int = 0) -> tuple[Sums, dict[str, Any]]:
    """The sums over one shard of a task's examples, and what an artifact of them says about itself.

    Args:
        spec: attribution (with shards), stability, seed and compute.
        shard: shard i of n holds the examples i, i + n, i + 2n, …
    """
    loaded = load_model(model, spec["compute"])
    task = read_task(data)
    settings = spec["attribution"]
    rows = range(shard, len(task), settings["shards"])
    if not rows:
        raise UserError(
            f"attribution.shards is {settings['shards']}, but {task.key} has only {len(task)} attribution examples"
        )
    examples = task.encoded(loaded.tokenizer)
    pairs = [examples[row].pair for row in rows]
    sizes, repeats = spec["stability"]["sizes"], spec["stability"]["repeats"]
    bootstrap = resampling_weights(len(task), settings["bootstrap"], task.key, spec["seed"])
    subsets = subset_weights(len(task), sizes, repeats, task.key, spec["seed"])
    weights = np.concatenate([bootstrap, subsets])[:, rows]
    sums = attribute(loaded, pairs, settings, weights, f"attribution {task.key}")
    return sums, {
        "spec": spec,
        **task.facts(loaded),
        "widths": widths(loaded.model),
        "experts": experts(loaded.model),
    }


def write_scores(sums: Sums, metadata: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write the scores, their bootstrap replicates and the scores of subsets, as the options of `add_outputs` say."""
    index, spec = neuron_index(metadata["widths"], metadata["experts"]), metadata["spec"]
    write_frame(arguments.scores, score_frame(sums, index), "scores", metadata)
    number = spec["attribution"]["bootstrap"]
    bootstrap, subsets = sums.resampled[:number], sums.resampled[number:]
    names = [f"replicate_{replicate}" for replicate in range(number)]
    frame = resampled_frame(bootstrap, names, sums.samples, index)
    write_frame(arguments.bootstrap, frame, "score replicates", metadata)
    parts = subset_names(sums.samples, spec["stability"]["sizes"], spec["stability"]["repeats"])
    names = [f"{size}_{repeat}_{side}" for size, repeat, side in parts]
    frame = resampled_frame(subsets, names, sums.samples, index)
    write_frame(arguments.subsets, frame, "subset scores", metadata)


def add_outputs(options: argparse.ArgumentParser) -> None:
    """The options that name the files of a task's scores."""
    options.add_argument("--scores", type=Path, required=True, help="write the scores here (Parquet)")
    options.add_argument("--bootstrap", type=Path, required=True, help="write the replicates here (Parquet)")
    options.add_argument("--subsets", type=Path, required=True, help="write the scores of subsets here (Parquet)")


def main(arguments: argparse.Namespace) -> None:
    sums, metadata = score_task(arguments.model, arguments.data, arguments.spec)
    write_scores(sums, metadata, arguments)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the model's folder")
    options.add_argument("--data", type=Path, required=True, help="the task's attribution split (Parquet)")
    add_outputs(options)
    command.run(main, options)
