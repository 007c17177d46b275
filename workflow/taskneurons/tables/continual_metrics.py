"""Measures of continual learning (section 4), of accuracies a[…, i, j]: task i after stage j, in the order of learning.

The leading axes hold whatever is measured alike: seeds, and the replicates of a bootstrap. A number of which something
is missing (NaN), or which one stage cannot have, is missing.
"""

import numpy as np

from taskneurons.tables.intervals import resampled_examples


def average_accuracy(accuracies: np.ndarray) -> np.ndarray:
    """CL: the mean over tasks of a[i, N], (…, N, N) → (…,)."""
    return accuracies[..., -1].mean(axis=-1)


def own_accuracies(accuracies: np.ndarray) -> np.ndarray:
    """a[i, i], every task right after its own stage, (…, N, N) → (…, N)."""
    return np.diagonal(accuracies, axis1=-2, axis2=-1)


def retention(accuracies: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """FG_j = 100 / (j − 1) · Σ_{i<j} a[i, j] / alone[i] of every stage (Figure 4), in percent; higher keeps more.

    Args:
        accuracies: (…, N, N).
        alone: (…, N), what a task is held against: A_i, or a[i, i]. Against zero there is no share.

    Returns:
        (…, N), missing at the first stage.
    """
    against = alone[..., np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(against > 0, accuracies / against, np.nan)
    return 100 * np.stack([_mean(shares[..., :stage, stage]) for stage in range(shares.shape[-1])], axis=-1)


def seen_accuracies(accuracies: np.ndarray) -> np.ndarray:
    """The mean over the tasks learnt so far, after every stage, (…, N, N) → (…, N)."""
    stages = range(accuracies.shape[-1])
    return np.stack([accuracies[..., : stage + 1, stage].mean(axis=-1) for stage in stages], axis=-1)


def forgetting(accuracies: np.ndarray) -> np.ndarray:
    """The mean over i < N of the best accuracy at the stages i to N − 1 less that at the end, (…, N, N) → (…,)."""
    last = accuracies.shape[-1] - 1
    if last == 0:
        return np.full(accuracies.shape[:-2], np.nan)
    best = np.stack([accuracies[..., task, task:last].max(axis=-1) for task in range(last)], axis=-1)
    return _mean(best - accuracies[..., :last, last])


def backward_transfer(accuracies: np.ndarray) -> np.ndarray:
    """BWT: the mean over i < N of a[i, N] − a[i, i], (…, N, N) → (…,)."""
    return _mean((accuracies[..., -1] - own_accuracies(accuracies))[..., :-1])


def forward_transfer(before: np.ndarray, untrained: np.ndarray) -> np.ndarray:
    """FWT: the mean over i > 1 of a[i, i − 1] less the untrained model's accuracy.

    Args:
        before: (…, N), every task before its own stage.
        untrained: (…, N).

    Returns:
        (…,).
    """
    return _mean((before - untrained)[..., 1:])


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean along the last axis; missing where it is empty."""
    return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


def replicate_weights(task: str, number: int, replicates: int) -> np.ndarray:
    """The weight of each example of a task in each replicate, (1 + replicates, number); first all alike.

    Their product with the examples' values is the mean over `resampled_examples`.
    """
    chosen = resampled_examples(task, number, replicates)
    return np.stack([np.bincount(row, minlength=number) for row in chosen]) / number


def over_seeds(values: np.ndarray) -> np.ndarray:
    """The mean over seeds, which are resampled too in every replicate.

    Args:
        values: (seeds, 1 + replicates, …), of all examples first. What has as many seeds has the same ones in a
            replicate, so that differences are paired by seed.

    Returns:
        (1 + replicates, …), of all seeds first.
    """
    seeds, number = values.shape[:2]
    chosen = np.random.default_rng(0).integers(seeds, size=(seeds, number))
    chosen[:, 0] = np.arange(seeds)
    return values[chosen, np.arange(number)].mean(axis=0)
