"""Means and intervals of values of which some are missing (NaN)."""

import numpy as np

from taskneurons.tables.intervals import percentile_interval


def mean_of(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """The mean along an axis of the values that are there; NaN where none is."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=axis) / there.sum(axis=axis)


def interval_of(replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """The percentile interval of the replicates that are there; NaN where none is."""
    replicates = replicates[~np.isnan(replicates)]
    return percentile_interval(replicates, confidence) if len(replicates) else (np.nan, np.nan)
