"""Attribution scores of one task: R = |∂L/∂ω · ω| for every FFN neuron (section 1 of the paper), or its variant
R = |∂L/∂ω · (ω − ω̄)| with the neuron's mean output as the reference.

ω_j is the output of neuron j, after activation and gate. L of a sample is the mean (optionally the sum) negative
log-likelihood of its own target tokens. By default the products are summed over a sample's tokens, made absolute and
averaged over samples: the first-order estimate of how much that sample's loss changes when the neuron is switched
off, by zero ablation with the reference zero, by mean ablation with the reference mean. The other aggregations are
per-token (|·| at every token, mean over samples of the sum) and total (|·| of the sum over everything, per sample).
Sums over samples are in float64.

Besides the scores, the same aggregate over resampled examples is written: bootstrap replicates, and pairs of disjoint
subsets of growing size, by which the scores' stability is judged. A task's examples can be split over several jobs
(`shard`), each of which writes its sums; `merge` makes the scores of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from taskneurons.attribution.products import (
    batch_results,
    in_compute_dtype,
    sample_products,
    signed_and_absolute_products,
)
from taskneurons.attribution.resampling import resampling_weights, subset_names, subset_weights
from taskneurons.config.settings import DeviceSettings, Scoring, StepSettings, Subsets, TaskScoring
from taskneurons.core.artifacts import write_frame
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import Batch, Pair
from taskneurons.data.task import read_task
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.blocks import experts, frozen, widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mean_outputs import MeanOutputs, read_means


@dataclass
class Sums:
    """Sums over samples that were scored so far; those of disjoint samples add up to those of all.

    Attributes:
        samples: how many.
        score: (n_neurons,), of each sample's |sum|, sum of |·|, or signed sum, as the aggregation says; float64.
        resampled: (replicates, n_neurons), as `score`, each sample as often as the replicate holds it; float64.
    """

    samples: int
    score: np.ndarray
    resampled: np.ndarray

    @classmethod
    def none(cls, neurons: int, replicates: int) -> "Sums":
        return cls(0, np.zeros(neurons), np.zeros((replicates, neurons)))

    def add(self, other: "Sums") -> None:
        self.samples += other.samples
        self.score += other.score
        self.resampled += other.resampled


def attribute(
    loaded: LoadedModel,
    pairs: list[Pair],
    settings: Scoring,
    weights: np.ndarray,
    what: str | None,
    means: MeanOutputs | None = None,
) -> Sums:
    """Score every neuron on a task's examples, or on a part of them.

    Args:
        pairs: (prompt ids, target ids) of the examples.
        weights: (replicates, len(pairs)), as `resampling_weights` gives them.
        what: the name of the progress bar; None for none.
        means: the reference, where it is not zero.
    """
    how, loss = settings.aggregation, settings.loss
    sums = Sums.none(sum(widths(loaded.model)), len(weights))

    def products(batch: Batch) -> torch.Tensor:
        if how == "token":
            return in_compute_dtype(
                loaded, lambda scale: signed_and_absolute_products(loaded.model, batch, loss, scale, means)
            )[1]
        return in_compute_dtype(loaded, lambda scale: sample_products(loaded.model, batch, loss, scale, means))

    with frozen(loaded.model):
        for rows, found in batch_results(loaded, pairs, settings, products, what):
            values = found.double().numpy()
            if how == "sample":
                values = np.abs(values)
            sums.add(Sums(len(rows), values.sum(axis=0), weights[:, rows] @ values))
    return sums


def score_frame(sums: Sums, index: pd.DataFrame) -> pd.DataFrame:
    """The scores: columns layer, expert, neuron (those of `index`), score, n_samples."""
    return index.assign(score=np.abs(sums.score) / sums.samples, n_samples=sums.samples)


def resampled_frame(resampled: np.ndarray, names: list[str], samples: int, index: pd.DataFrame) -> pd.DataFrame:
    """The score over resampled examples: the columns of `index`, and one a name; float32.

    Args:
        resampled: rows of `Sums.resampled`, (names, n_neurons).
    """
    values = (np.abs(resampled) / samples).astype(np.float32)
    columns = pd.DataFrame(dict(zip(names, values, strict=True)))
    return pd.concat([index, columns], axis=1)


class AttributionSettings(StepSettings):
    """What a task's scores depend on; without `stability` no subsets are scored."""

    attribution: TaskScoring
    stability: Subsets | None = None
    seed: int
    compute: DeviceSettings


def score_task(
    model: Path, data: Path, means: list[Path], settings: AttributionSettings, shard: int = 0
) -> tuple[Sums, dict[str, Any]]:
    """The sums over one shard of a task's examples, and their provenance.

    Args:
        means: the model's mean outputs where they are the reference, none where zero is.
        shard: shard i of n holds the examples i, i + n, i + 2n, …
    """
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    shards = settings.attribution.shards
    rows = range(shard, len(task), shards)
    if not rows:
        raise UserError(f"attribution.shards is {shards}, but {task.key} has only {len(task)} attribution examples")
    examples = task.encoded(loaded.tokenizer)
    pairs = [examples[row].pair for row in rows]
    bootstrap = resampling_weights(len(task), settings.attribution.bootstrap, task.key, settings.seed)
    weights = bootstrap[:, rows]
    if settings.stability is not None:
        subsets = subset_weights(len(task), settings.stability, task.key, settings.seed)
        weights = np.concatenate([bootstrap, subsets])[:, rows]
    reference = read_means(means)
    sums = attribute(loaded, pairs, settings.attribution, weights, f"attribution {task.key}", reference)
    return sums, {
        "spec": settings.spec(),
        "reference": "zero" if reference is None else "mean",
        **loaded.provenance_on(task),
        "widths": widths(loaded.model),
        "experts": experts(loaded.model),
    }


def write_scores(
    sums: Sums,
    provenance: dict[str, Any],
    settings: AttributionSettings,
    scores: Path,
    bootstrap: Path | None,
    subsets: Path | None,
) -> None:
    """Write the scores and, where they are asked for, their bootstrap replicates and the scores of subsets."""
    index = neuron_index(provenance["widths"], provenance["experts"])
    write_frame(scores, score_frame(sums, index), "scores", provenance)
    number = settings.attribution.bootstrap
    if bootstrap is not None:
        names = [f"replicate_{replicate}" for replicate in range(number)]
        frame = resampled_frame(sums.resampled[:number], names, sums.samples, index)
        write_frame(bootstrap, frame, "score replicates", provenance)
    if subsets is not None and settings.stability is not None:
        names = [f"{size}_{repeat}_{side}" for size, repeat, side in subset_names(sums.samples, settings.stability)]
        frame = resampled_frame(sums.resampled[number:], names, sums.samples, index)
        write_frame(subsets, frame, "subset scores", provenance)


def main(
    settings: AttributionSettings,
    *,
    model: Path,
    data: Path,
    means: list[Path],
    scores: Path,
    bootstrap: Path | None = None,
    subsets: Path | None = None,
) -> None:
    """Score one task.

    Args:
        model: the model's folder.
        data: the task's attribution split.
        means: the model's mean outputs where they are the reference, none where zero is.
        scores, bootstrap, subsets: the scores, their replicates and the scores of subsets, to write.
    """
    sums, provenance = score_task(model, data, means, settings)
    write_scores(sums, provenance, settings, scores, bootstrap, subsets)
