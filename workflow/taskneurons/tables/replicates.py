"""Scores with their bootstrap replicates over attribution examples, and intervals from these."""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.tables.intervals import percentile_interval


def read_with_replicates(scores: Path, score_replicates: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The scores of a model on a task and their replicates, (1 + replicates, n_neurons), and the scores' provenance.

    Raises:
        UserError: the files are not of the same model and task.
    """
    frame, made = read_frame(scores, "scores")
    replicates, made_of_replicates = read_frame(score_replicates, "score replicates")
    if [made[key] for key in ("model", "task")] != [made_of_replicates[key] for key in ("model", "task")]:
        raise UserError(f"{scores} and {score_replicates} are not of the same model and task")
    columns = [column for column in replicates.columns if column.startswith("replicate_")]
    return np.stack([frame["score"].to_numpy(), *(replicates[column].to_numpy() for column in columns)]), made


def interval_around(value: float, replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """The replicates' spread about their mean, put around the value, in percent; NaN where there are no replicates.

    Resampling repeats some examples and leaves others out, which adds noise of its own: replicates of overlaps lie
    lower than the value itself.
    """
    if not len(replicates):
        return float("nan"), float("nan")
    return percentile_interval(np.clip(replicates - replicates.mean() + value, 0, 100), confidence)
