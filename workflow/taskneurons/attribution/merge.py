"""Make a task's attribution scores of the sums over its shards: the same scores as one job's, up to rounding."""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.attribution.scores import AttributionSettings, Sums, write_scores
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError


def merged(paths: list[Path]) -> tuple[Sums, dict[str, Any]]:
    """The sums over all shards, and their common provenance.

    Raises:
        UserError: a shard is missing, is there twice, or is of another task, data, model or setting.
    """
    found: dict[int, Path] = {}
    sums, common = None, None
    for path in paths:
        frame, provenance = read_frame(path, "score sums")
        shard, samples = provenance["spec"].pop("shard"), provenance.pop("samples")
        if common is not None and provenance != common:
            raise UserError(f"{path} was not made as {paths[0]}: make all shards anew")
        if shard in found:
            raise UserError(f"{path} holds shard {shard}, which {found[shard]} holds already")
        found[shard], common = path, provenance
        resampled = frame.filter(like="replicate_").to_numpy().T
        part = Sums(samples, frame["score"].to_numpy(), np.ascontiguousarray(resampled))
        if sums is None:
            sums = Sums.none(len(frame), len(resampled))
        sums.add(part)
    assert sums is not None and common is not None
    if missing := set(range(common["spec"]["attribution"]["shards"])) - set(found):
        raise UserError(f"no file holds shard {min(missing)} of {common['task']}")
    return sums, common


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
