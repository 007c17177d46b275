"""The rows of a task's source: a data set on the hub, or local Parquet / JSON / CSV files."""

import math
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np

from taskneurons.config.settings import ResolvedSource
from taskneurons.core.errors import UserError
from taskneurons.data.files import check_columns, check_hub_id, local_split
from taskneurons.data.readers import Row, read_rows
from taskneurons.data.splits import SHARES_OF_ONE_FILE

PLAIN = (str, bool, int, float, Decimal, date, time)


def _hub_rows(source: ResolvedSource, split: str, columns: list[str]) -> Any:
    """One split of a data set on the hub, as what has a length and can be indexed."""
    import datasets  # takes seconds to import, and local files need none of it
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    assert source.hub is not None
    check_hub_id(source.hub)
    if source.hub in _PACKAGED_DATASETS_MODULES:
        raise UserError(
            f"the hub's data set {source.hub!r} has the name of a format, for which files here would be read: "
            "give the whole id, owner/name"
        )
    datasets.disable_progress_bars()  # one bar a file of some kilobytes tells nobody anything
    asked = f"{source.hub} (config {source.config}, revision {source.revision}, split {split})"
    try:
        data = datasets.load_dataset(source.hub, source.config, revision=source.revision, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as problem:
        raise UserError(
            f"the hub's data set {asked} cannot be read: {problem}; "
            "check these names and the network, or read a local copy with data_root"
        ) from problem
    theirs = [source.columns.get(column, column) for column in columns]
    check_columns(data.column_names, theirs, f"{source.hub} ({split})")
    return data.select_columns(theirs).rename_columns(dict(zip(theirs, columns, strict=True)))


def shuffled_rows(source: ResolvedSource, split: str, columns: list[str], seed: int) -> Iterator[tuple[str, Row]]:
    """All rows of one split of a hub or local source, in a seeded random order, one at a time, each with its place.

    A place is the file (or the hub's id and split) and the row's number in it, from 1.

    Args:
        source: hub or local, not suite.
        split: our name of the split: train, validation or test.
        columns: the columns that the task needs.

    Raises:
        UserError: the folder, the file or a column is missing, the file is broken, or a value is of no use.
    """
    name = split if source.splits is None else source.splits[split]
    if source.hub is not None:
        data, where = _hub_rows(source, name, columns), f"{source.hub} ({name})"
    else:
        path = local_split(str(source.local), source.splits, split)
        data, where = read_rows(path, columns), str(path)
    order = np.random.default_rng(seed).permutation(len(data)).tolist()
    if source.splits is None:  # one file with all examples
        start, end = (len(order) * percent // 100 for percent in SHARES_OF_ONE_FILE[split])
        order = order[start:end]
    for number in order:
        place, row = f"{where}, row {number + 1}", data[number]
        for column, value in row.items():
            _check_value(value, f"{place}: the column {column!r}")
        yield place, row


def _check_value(value: Any, where: str) -> None:
    """Raise a UserError if a value is no text, number or the like, nor null, nor a list of those."""
    for one in value if isinstance(value, list) else [value]:
        if one is not None and not isinstance(one, PLAIN):
            raise UserError(f"{where} holds {str(one)[:40]!r} ({type(one).__name__}), neither a text nor a number")


def is_null(value: Any) -> bool:
    """Whether a value is missing (null, or a number that is none), or is a list in which one is."""
    if isinstance(value, list):
        return any(map(is_null, value))
    return value is None or (isinstance(value, float) and math.isnan(value))
