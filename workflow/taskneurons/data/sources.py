"""The rows of a task's source: the embedded suite, a data set on the hub, or local Parquet / JSON / CSV files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset, disable_progress_bars, load_dataset

from taskneurons.config.settings import ResolvedSource
from taskneurons.core.errors import UserError
from taskneurons.data.files import FORMATS, check_columns, local_split
from taskneurons.data.splits import SHARES_OF_ONE_FILE

Row = dict[str, Any]

disable_progress_bars()  # one bar a file of some kilobytes tells nobody anything


def _load_hub(source: ResolvedSource, split: str) -> Dataset:
    assert source.hub is not None
    try:
        return load_dataset(source.hub, source.config, revision=source.revision, split=split)
    except (OSError, ValueError) as problem:
        raise UserError(
            f"the hub's data set {source.hub} (config {source.config}, revision {source.revision}, split {split}) "
            f"cannot be read: {problem}; check these names and the network, or read a local copy with data_root"
        ) from problem


def _load_local(path: Path) -> Dataset:
    # datasets converts what it reads into a cache: a private one, so that a changed file is never answered from an
    # old copy and nothing is left behind.
    with tempfile.TemporaryDirectory() as cache:
        return load_dataset(
            FORMATS[path.suffix], data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True
        )


def shuffled_rows(source: ResolvedSource, split: str, columns: list[str], seed: int) -> Iterator[Row]:
    """All rows of one split of a hub or local source, in a seeded random order, one at a time.

    Args:
        source: hub or local, not suite.
        split: our name of the split: train, validation or test.
        columns: the columns that the task needs.

    Raises:
        UserError: the folder, the file or a column is missing.
    """
    name = split if source.splits is None else source.splits[split]
    if source.hub is not None:
        data, where = _load_hub(source, name), f"{source.hub} ({name})"
    else:
        path = local_split(str(source.local), source.splits, split)
        data, where = _load_local(path), str(path)
    check_columns(data.column_names, columns, where)
    order = data.select_columns(columns).shuffle(seed=seed)
    if source.splits is None:  # one file with all examples
        start, end = (len(order) * percent // 100 for percent in SHARES_OF_ONE_FILE[split])
        order = order.select(range(start, end))
    yield from order
