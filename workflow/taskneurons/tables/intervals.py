"""Bootstrap intervals of means over test examples."""

import numpy as np


def mean_interval(values: np.ndarray, replicates: int, confidence: float, seed: int = 0) -> tuple[float, float, float]:
    """The mean of `values` and a percentile bootstrap interval over test examples.

    Args:
        values: (runs, examples): the score of every test example in every training seed and random draw. All runs see
            the same examples, so each replicate resamples examples, once for all runs: the interval covers which
            examples were tested, not which seeds and draws were taken.
        confidence: in percent.

    Returns:
        mean, low, high, in the unit of `values`.
    """
    per_example = np.atleast_2d(values).mean(axis=0)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(per_example), size=(replicates, len(per_example)))
    return (float(per_example.mean()), *percentile_interval(per_example[chosen].mean(axis=1), confidence))


def percentile_interval(replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """The central interval that holds `confidence` % of the replicates."""
    tail = (100 - confidence) / 2
    low, high = np.percentile(replicates, [tail, 100 - tail])
    return float(low), float(high)


def resampled_examples(task: str, number: int, replicates: int) -> np.ndarray:
    """Which examples of a task each replicate has, (1 + replicates, number): first all of them, each once.

    The same for all that is measured on these examples; each task's are drawn by themselves.
    """
    rng = np.random.default_rng(list(task.encode()))
    return np.vstack([np.arange(number), rng.integers(number, size=(replicates, number))])


def mean_of_means_interval(
    groups: list[np.ndarray], replicates: int, confidence: float, seed: int = 0
) -> tuple[float, float, float]:
    """The mean over groups of each group's mean, and its interval when every group's examples are resampled.

    Args:
        groups: the values of each group's examples, (examples,) each; groups count alike whatever their size.

    Returns:
        mean, low, high, in the unit of the values.
    """
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=(replicates, len(values)))].mean(axis=1) for values in groups]
    mean = float(np.mean([values.mean() for values in groups]))
    return (mean, *percentile_interval(np.mean(means, axis=0), confidence))
