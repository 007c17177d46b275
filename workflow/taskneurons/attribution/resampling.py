"""Which examples a resampled score looks at: bootstrap replicates, and disjoint subsets for the scores' stability."""

import numpy as np

from taskneurons.config.settings import Subsets


def resampling_weights(samples: int, replicates: int, task: str, seed: int) -> np.ndarray:
    """How often each bootstrap replicate holds each sample: (replicates, samples), every row sums to `samples`.

    Tasks are resampled independently of each other.
    """
    return np.random.default_rng([seed, *task.encode()]).multinomial(
        samples, np.full(samples, 1 / samples), size=replicates
    )


def subset_names(samples: int, settings: Subsets) -> list[tuple[int, int, str]]:
    """(size, repeat, side) of the subsets by which stability is judged.

    Sizes over half of all samples are left out; where that are all, half of the samples is the only one.
    """
    sizes = [size for size in settings.sizes if 2 * size <= samples] or [samples // 2] * (samples > 1)
    return [(size, repeat, side) for size in sizes for repeat in range(settings.repeats) for side in ("a", "b")]


def subset_weights(samples: int, settings: Subsets, task: str, seed: int) -> np.ndarray:
    """Weights (subsets, samples) that make the scores of random subsets: sides a and b of a repeat are disjoint."""
    rng = np.random.default_rng([seed, 1, *task.encode()])
    names = subset_names(samples, settings)
    weights = np.zeros((len(names), samples))
    for row, (size, _, side) in enumerate(names):
        if side == "a":
            order = rng.permutation(samples)
        weights[row, order[:size] if side == "a" else order[size : 2 * size]] = samples / size
    return weights
