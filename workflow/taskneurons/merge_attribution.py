"""Make a task's attribution scores of the sums over its shards: the same scores as one job's, up to rounding."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from taskneurons import command
from taskneurons.artifacts import read_frame
from taskneurons.attribution import Sums, add_outputs, write_scores
from taskneurons.errors import UserError


def merged(paths: list[Path]) -> tuple[Sums, dict[str, Any]]:
    """The sums over all shards, and their common metadata.

    Raises:
        UserError: a shard is missing, is there twice, or is of another task, data, model or setting.
    """
    found: dict[int, Path] = {}
    sums, common = None, None
    for path in paths:
        frame, metadata = read_frame(path, "score sums")
        shard, samples = metadata.pop("shard"), metadata.pop("samples")
        if common is not None and metadata != common:
            raise UserError(f"{path} was not made as {paths[0]}: make all shards anew")
        if shard in found:
            raise UserError(f"{path} holds shard {shard}, which {found[shard]} holds already")
        found[shard], common = path, metadata
        resampled = frame.filter(like="replicate_").to_numpy().T
        part = Sums(samples, frame["score"].to_numpy(), frame["signed"].to_numpy(), np.ascontiguousarray(resampled))
        if sums is None:
            sums = Sums.none(len(frame), len(resampled))
        sums.add(part)
    assert sums is not None and common is not None
    if missing := set(range(common["spec"]["attribution"]["shards"])) - set(found):
        raise UserError(f"no file holds shard {min(missing)} of {common['task']}")
    return sums, common


def main(arguments: argparse.Namespace) -> None:
    sums, metadata = merged(arguments.sums)
    write_scores(sums, {**metadata, "spec": arguments.spec}, arguments)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--sums", type=Path, nargs="+", required=True, help="the sums of all shards (Parquet)")
    add_outputs(options)
    command.run(main, options)
