"""The association of two matrices over ordered pairs of the same tasks, whose cells are not independent.

The cells of a row share a source, those of a column a target. So row and column means are taken out first, by a least
squares fit of all cells off the diagonal, and the rank correlation (Spearman) is of what is left. Its p is that of the
quadratic assignment procedure (QAP, Krackhardt 1988): one matrix's rows and columns are permuted together. Its interval
is a percentile bootstrap over tasks: a pair of two copies of one task is left out, and means are taken out anew in each
replicate; replicates with fewer than ENOUGH different tasks leave no more than one degree of freedom, and are left out.

The partial correlation is of the residuals of both centred matrices on other centred ones, by least squares; its p
permutes the residuals of the first matrix (semi-partialling, as Dekker et al. 2007 do for regressions).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import rankdata

from taskneurons.tables.contrast import orders
from taskneurons.tables.correlations import correlation_of_centred
from taskneurons.tables.missing import interval_of

ENOUGH = 4  # tasks
DIGITS = 11  # of residuals, as shares of the largest value: what differs by less is tied


@dataclass(frozen=True)
class Pairs:
    """Ordered pairs of tasks, in one or several replicates.

    Attributes:
        tasks: (replicates, n), the tasks of each replicate.
        counted: bool (replicates, n, n), the pairs of two different tasks.
        inverse: (replicates, 2n, 2n), the pseudo-inverse of the normal equations of row and column effects.
    """

    tasks: np.ndarray
    counted: np.ndarray
    inverse: np.ndarray

    def of(self, matrix: np.ndarray) -> np.ndarray:
        """The cells of a matrix over tasks in every replicate, (replicates, n, n); zero where a pair is not counted."""
        return np.where(self.counted, matrix[self.tasks[:, :, None], self.tasks[:, None, :]], 0.0)

    def centred(self, matrix: np.ndarray) -> np.ndarray:
        """The cells of a matrix less row and column effects, as `of` gives them."""
        cells = self.of(matrix)
        sums = np.concatenate([cells.sum(axis=2), cells.sum(axis=1)], axis=1)
        rows, columns = np.split((self.inverse @ sums[..., None])[..., 0], 2, axis=1)
        return np.where(self.counted, cells - rows[:, :, None] - columns[:, None, :], 0.0)


def pairs_of(tasks: np.ndarray) -> Pairs:
    """The ordered pairs of the tasks of each replicate, (replicates, n)."""
    counted = tasks[:, :, None] != tasks[:, None, :]
    whole = counted.astype(float)
    own = np.eye(tasks.shape[1])
    rows, columns = whole.sum(axis=2)[..., None] * own, whole.sum(axis=1)[..., None] * own
    normal = np.block([[rows, whole], [whole.swapaxes(1, 2), columns]])
    return Pairs(tasks, counted, np.linalg.pinv(normal, rcond=1e-10, hermitian=True))


@cache
def all_pairs(n: int) -> Pairs:
    """The ordered pairs of n tasks."""
    return pairs_of(np.arange(n)[None])


@cache
def resampled_pairs(n: int, replicates: int, seed: int = 0) -> Pairs:
    """Those of tasks that are drawn with replacement; of the replicates those with ENOUGH different tasks."""
    tasks = np.random.default_rng(seed).integers(n, size=(replicates, n))
    different = np.array([len(set(drawn)) for drawn in tasks.tolist()])
    return pairs_of(tasks[different >= ENOUGH])


def residuals(values: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """Centred cells less their least squares fit on other centred cells, all (replicates, n, n)."""
    if not others:
        return values
    flat = values.reshape(len(values), -1, 1)
    design = np.stack([one.reshape(len(one), -1) for one in others], axis=2)
    transposed = design.swapaxes(1, 2)
    inverse = np.linalg.pinv(transposed @ design, rcond=1e-10, hermitian=True)
    return (flat - design @ (inverse @ (transposed @ flat))).reshape(values.shape)


def ranks(values: np.ndarray, counted: np.ndarray, size: float) -> np.ndarray:
    """The ranks of the counted cells of each replicate less their mean, zero elsewhere: (replicates, n · n).

    Args:
        values, counted: (replicates, n, n).
        size: of the values that these are residuals of: differences that are rounding's alone are ties.
    """
    flat, there = (one.reshape(len(one), -1) for one in (values, counted))
    rounded = np.round(flat / size, DIGITS) if size else flat
    ranked = rankdata(np.where(there, rounded, np.inf), axis=1)
    mean = (ranked * there).sum(axis=1, keepdims=True) / np.maximum(there.sum(axis=1, keepdims=True), 1)
    return np.where(there, ranked - mean, 0.0)


@dataclass(frozen=True)
class Association:
    """A rank correlation of two matrices, its interval, and how often permuted ones are as far from zero."""

    value: float
    low: float
    high: float
    p: float

    def columns(self, name: str, prefix: str) -> dict[str, float]:
        """Its columns in a table."""
        return {name: self.value, f"{prefix}ci_low": self.low, f"{prefix}ci_high": self.high, f"{prefix}p": self.p}


NONE = Association(np.nan, np.nan, np.nan, np.nan)


def ranked_residuals(pairs: Pairs, matrix: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """The ranks of a matrix without row and column effects and without what other matrices explain of the rest."""
    left = residuals(pairs.centred(matrix), [pairs.centred(one) for one in others])
    off_diagonal = matrix[~np.eye(len(matrix), dtype=bool)]
    return ranks(left, pairs.counted, float(np.abs(off_diagonal).max()))


def association(
    one: np.ndarray, other: np.ndarray, given: list[np.ndarray], replicates: int, confidence: float, seed: int = 0
) -> Association:
    """The rank correlation of two matrices (n, n) without row and column effects; with `given` the partial one.

    Args:
        one, other: whole off the diagonal, which does not count.
        given: matrices whose part of both is taken out.
        replicates: of the bootstrap over tasks.
        confidence: of the interval, in percent.
    """
    tasks = len(one)
    if tasks < ENOUGH:
        return NONE
    first, second = (ranked_residuals(all_pairs(tasks), matrix, given)[0] for matrix in (one, other))
    value = float(correlation_of_centred(first, second))
    if np.isnan(value):
        return NONE
    permuted = orders(tasks, seed)
    square = second.reshape(tasks, tasks)
    products = square[permuted[:, :, None], permuted[:, None, :]].reshape(len(permuted), -1) @ first
    as_far = np.abs(products) >= abs(first @ second) * (1 - 1e-9)
    pairs = resampled_pairs(tasks, replicates, seed)
    resampled = correlation_of_centred(*(ranked_residuals(pairs, matrix, given) for matrix in (one, other)))
    low, high = interval_of(resampled, confidence)
    return Association(value, low, high, float((1 + as_far.sum()) / (1 + len(permuted))))


def raw_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The rank correlation of two matrices over all pairs, nothing taken out; NaN where one is constant."""
    pairs = all_pairs(len(one))
    sizes = (float(np.abs(pairs.of(matrix)).max()) for matrix in (one, other))
    found = [ranks(pairs.of(matrix), pairs.counted, size) for matrix, size in zip((one, other), sizes, strict=True)]
    return float(correlation_of_centred(*found)[0])


def complete(*matrices: np.ndarray) -> np.ndarray:
    """The tasks among which matrices (n, n) have all pairs: those with the most missing ones are left out first."""
    missing = ~np.all([np.isfinite(matrix) for matrix in matrices], axis=0)
    np.fill_diagonal(missing, False)
    kept = np.arange(len(missing))
    while missing.any():
        worst = (missing.sum(axis=0) + missing.sum(axis=1)).argmax()
        missing = np.delete(np.delete(missing, worst, axis=0), worst, axis=1)
        kept = np.delete(kept, worst)
    return kept


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's correction of p for how many there are; NaN stays NaN."""
    order = np.argsort(p)
    factors = np.arange(np.sum(~np.isnan(p)), 0, -1)
    found = np.full(len(p), np.nan)
    known = order[: len(factors)]  # NaN come last
    found[known] = np.minimum(np.maximum.accumulate(p[known] * factors), 1)
    return found
