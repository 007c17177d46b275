"""Correlations of few pairs of numbers: Pearson's and Spearman's, their p, their intervals, and what n can show."""

from itertools import permutations
from math import factorial

import numpy as np
from scipy import stats

from taskneurons.tables.missing import interval_of, mean_of

STATISTICS = ("pearson", "spearman")
FEWEST = 3  # of two pairs every correlation is ±1
ALL_ORDERS = 7  # up to so many pairs all orders are tried


def correlation_of_centred(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The correlation along the last axis of values whose mean is zero; NaN where one side is constant."""
    lengths = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(lengths > 0, (one * other).sum(axis=-1) / lengths, np.nan)


def correlation(one: np.ndarray, other: np.ndarray, statistic: str) -> np.ndarray:
    """The correlation along the last axis; NaN where a side is constant.

    Args:
        one, other: (…, n).
        statistic: pearson, or spearman: the same of the ranks, ties by their mean rank.
    """
    if statistic == "spearman":
        one, other = stats.rankdata(one, axis=-1), stats.rankdata(other, axis=-1)
    constant = (np.ptp(one, axis=-1) == 0) | (np.ptp(other, axis=-1) == 0)
    one, other = (values - values.mean(axis=-1, keepdims=True) for values in (one, other))
    return np.where(constant, np.nan, np.clip(correlation_of_centred(one, other), -1, 1))


def p_value(one: np.ndarray, other: np.ndarray, statistic: str) -> float:
    """Two-sided, of n ≥ FEWEST pairs without correlation; NaN where a side is constant.

    Pearson's supposes normal numbers. Spearman's counts how many orders of one side have a rank correlation as far from
    zero: of all orders up to ALL_ORDERS pairs; of more it is scipy's, by Student's t.
    """
    value, n = float(correlation(one, other, statistic)), len(one)
    if np.isnan(value):
        return np.nan
    if statistic == "pearson":
        return float(stats.pearsonr(one, other).pvalue)
    if n > ALL_ORDERS:
        return float(stats.spearmanr(one, other).pvalue)
    orders = np.array(list(permutations(range(n))))
    return float((np.abs(correlation(one[orders], other, statistic)) >= abs(value) - 1e-12).mean())


def mean_correlation(
    one: np.ndarray, other: np.ndarray, statistic: str, replicates: int, confidence: float, seed: int = 0
) -> tuple[float, float, float]:
    """The mean over rows of each row's correlation, and its percentile bootstrap interval over the columns.

    All rows resample the same columns. Replicates of fewer than FEWEST different columns, and rows that are constant
    then, are left out.

    Args:
        one, other: (rows, n).

    Returns:
        value, low, high; NaN where there is none.
    """
    n = one.shape[1]
    if n < FEWEST:
        return np.nan, np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(n, size=(replicates, n))
    drawn = drawn[[len(np.unique(columns)) >= FEWEST for columns in drawn]]
    value = mean_of(correlation(one, other, statistic), axis=0)
    means = mean_of(correlation(one[:, drawn], other[:, drawn], statistic), axis=0)
    return float(value), *interval_of(means, confidence)


def rank_correlations(n: int) -> np.ndarray:
    """Spearman's correlation of every order of n different numbers with the first, (n!,), n ≤ ALL_ORDERS."""
    orders = np.array(list(permutations(range(n))), dtype=float)
    return correlation(orders, orders[0], "spearman")


def smallest_rank_p(n: int) -> float:
    """The smallest two-sided p that a rank correlation of n pairs can have: of one order and its reverse."""
    return 2 / factorial(n)


def needed(n: int, statistic: str, p: float = 0.05) -> float:
    """The smallest |correlation| of n pairs without ties whose two-sided p is below `p`; NaN if none is."""
    if statistic == "pearson" or n > ALL_ORDERS:
        t = stats.t.ppf(1 - p / 2, n - 2)
        return float(t / np.sqrt(n - 2 + t**2))
    found = np.abs(rank_correlations(n))
    enough = [value for value in np.unique(found.round(12)) if (found >= value - 1e-9).mean() < p]
    return float(min(enough, default=np.nan))
