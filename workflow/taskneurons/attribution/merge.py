"""Make a task's attribution scores of the sums over its shards: the same scores as one job's, up to rounding."""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.attribution.scores import AttributionSettings, Sums, write_scores
from taskneurons.core.artifacts import read_frame


def merged(paths: list[Path]) -> tuple[Sums, dict[str, Any]]:
    """The sums over all shards, and what all of them say of the model and the data."""
    sums: Sums | None = None
    provenance: dict[str, Any] = {}
    for path in paths:
        frame, provenance = read_frame(path, "score sums")
        resampled = frame.filter(like="replicate_").to_numpy().T
        part = Sums(provenance["samples"], frame["score"].to_numpy(), np.ascontiguousarray(resampled))
        if sums is None:
            sums = Sums.none(len(frame), len(resampled))
        sums.add(part)
    assert sums is not None
    of_shard = ("samples", "spec", "kind", "content", "link", "made_of", "made_with")
    return sums, {key: value for key, value in provenance.items() if key not in of_shard}


def main(
    settings: AttributionSettings,
    *,
    sums: list[Path],
    scores: Path,
    bootstrap: Path | None = None,
    subsets: Path | None = None,
) -> None:
    """Write the scores of a task.

    Args:
        sums: the sums of all its shards.
        scores, bootstrap, subsets: as `scores` writes them.
    """
    total, provenance = merged(sums)
    write_scores(total, {**provenance, "spec": settings.spec()}, settings, scores, bootstrap, subsets)
