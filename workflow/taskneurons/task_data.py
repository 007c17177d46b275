"""The rows of a task's source: the embedded suite, a data set on the hub, or local Parquet / JSON / CSV files."""

import tempfile
from collections.abc import Iterator
from typing import Any

from datasets import Dataset, disable_progress_bars, load_dataset

from taskneurons.data_files import FORMATS, check_columns, local_file
from taskneurons.errors import UserError

Row = dict[str, Any]

disable_progress_bars()  # one bar a file of some kilobytes tells nobody anything


def _load_hub(hub: dict[str, Any], split: str) -> Dataset:
    try:
        return load_dataset(hub["id"], hub.get("config"), revision=hub["revision"], split=split)
    except (OSError, ValueError) as problem:
        raise UserError(
            f"the hub's data set {hub['id']} (config {hub.get('config')}, revision {hub['revision']}, split {split}) "
            f"cannot be read: {problem}; check these names and the network, or read a local copy with data_root"
        ) from problem


def _load_local(folder: str, split: str) -> Dataset:
    path = local_file(folder, split)
    # datasets converts what it reads into a cache: a private one, so that a changed file is never answered from an
    # old copy and nothing is left behind.
    with tempfile.TemporaryDirectory() as cache:
        return load_dataset(
            FORMATS[path.suffix], data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True
        )


def shuffled_rows(source: dict[str, Any], split: str, columns: list[str], seed: int) -> Iterator[Row]:
    """All rows of one split of a hub or local source, in a seeded random order, one at a time.

    Args:
        source: `{"hub": {id, config, revision}}` or `{"local": {path}}`, as `config.resolved_source` makes it.
        split: the split's name in the source.
        columns: the columns that the task needs.

    Raises:
        UserError: the folder, the file or a column is missing.
    """
    if "hub" in source:
        data, where = _load_hub(source["hub"], split), f"{source['hub']['id']} ({split})"
    else:
        data, where = _load_local(source["local"]["path"], split), f"{source['local']['path']} ({split})"
    check_columns(data.column_names, columns, where)
    order = data.select_columns(columns).shuffle(seed=seed)
    yield from order
