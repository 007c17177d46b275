"""The primary measure of specificity, fixed beforehand (docs/architecture.md): the contrast of a damage matrix.

M[i, j] is the log of the mean damage that task i's set does to task j, damages below FLOOR counted as FLOOR. Row means
(how much a set harms everything) and column means (how easily a task is harmed) are taken out; the contrast is the mean
of the diagonal less the mean of the cells off the family. Its p is that of permuting the tasks' labels of the sets.
"""

from itertools import permutations

import numpy as np

FLOOR = 0.01  # nats a token
PERMUTATIONS = 10_000
ALL_PERMUTATIONS = 7  # the most tasks whose labels are permuted in every way


def centred_logs(damages: np.ndarray) -> np.ndarray:
    """The log-damage matrix without its row and column means; the leading axes, if any, are replicates.

    Args:
        damages: (…, sets, tasks), nats a token.
    """
    logs = np.log(np.maximum(damages, FLOOR))
    rows, columns = logs.mean(axis=-1, keepdims=True), logs.mean(axis=-2, keepdims=True)
    return logs - rows - columns + logs.mean(axis=(-2, -1), keepdims=True)


def difference(matrix: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The mean diagonal less the mean of the cells of other families, over the last two axes.

    Args:
        matrix: (…, n, n).
        other: bool (n, n), true where the tasks of a cell are of two families, somewhere at least.
    """
    return np.diagonal(matrix, axis1=-2, axis2=-1).mean(axis=-1) - matrix[..., other].mean(axis=-1)


def contrast(damages: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The contrast of one matrix of damages, or of replicates of it; 0 where no set is more specific than another."""
    return difference(centred_logs(damages), other)


def orders(tasks: int, seed: int = 0) -> np.ndarray:
    """Permutations of tasks, (number, tasks).

    Up to ALL_PERMUTATIONS tasks they are all but the one that changes nothing; of more, PERMUTATIONS are drawn.
    """
    if tasks <= ALL_PERMUTATIONS:
        return np.array(list(permutations(range(tasks)))[1:], dtype=int).reshape(-1, tasks)
    return np.random.default_rng(seed).permuted(np.tile(np.arange(tasks), (PERMUTATIONS, 1)), axis=1)


def permutation_p(damages: np.ndarray, other: np.ndarray, seed: int = 0) -> float:
    """How often sets whose labels are permuted have as large a contrast: (1 + so many) / (1 + permutations)."""
    matrix = centred_logs(damages)
    permuted = orders(len(damages), seed)
    as_large = difference(matrix[permuted], other) >= difference(matrix, other) - 1e-12
    return float((1 + as_large.sum()) / (1 + len(permuted)))
