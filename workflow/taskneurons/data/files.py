"""The files of a local data folder: where a split is, and which columns it has."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taskneurons.core.errors import UserError

FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv"}
LARGEST_JSON = 100 * 2**20  # bytes of a JSON document that is read just to see its columns


def only_file(path: str) -> Path | None:
    """The one data file with all examples: the path itself, or what is alone in a folder; None where there are more."""
    place = Path(path)
    if place.is_file() and place.suffix in FORMATS:
        return place
    found = [file for file in place.iterdir() if file.suffix in FORMATS] if place.is_dir() else []
    return found[0] if len(found) == 1 else None


def local_split(path: str, splits: dict[str, str] | None, split: str) -> Path:
    """The file that holds one of our splits of a local source; raises UserError where there is none.

    Args:
        splits: our name → the file's; None where one file holds all examples.
    """
    if splits is not None:
        return local_file(path, splits[split])
    file = only_file(path)
    if file is None:
        raise UserError(f"{path} is no single data file any more, which it was when the config was read: run again")
    return file


def local_file(folder: str, split: str) -> Path:
    """The one file of a split in a local data folder: `<split>.parquet`, `.json`, `.jsonl` or `.csv`.

    Raises:
        UserError: the folder or the file is absent.
    """
    place = Path(folder)
    if not place.is_dir():
        raise UserError(f"the data folder {place} does not exist (looked up from {Path.cwd()})")
    for suffix in FORMATS:
        if (path := place / f"{split}{suffix}").is_file():
            return path
    present = ", ".join(sorted(path.name for path in place.iterdir())) or "nothing"
    raise UserError(f"{place} holds no {split}.parquet, .json, .jsonl or .csv; it holds {present}")


def file_columns(path: Path) -> list[str] | None:
    """The columns of a data file as far as its beginning tells; None where it does not tell."""
    if path.suffix == ".parquet":
        try:
            return list(pq.read_schema(path).names)
        except pa.ArrowInvalid as problem:
            raise UserError(f"{path} is no Parquet file: {problem}") from problem
    with path.open() as file:
        if path.suffix == ".csv":
            return next(csv.reader(file), [])
        try:
            first = json.loads(file.readline())
        except json.JSONDecodeError:  # one JSON document over several lines: read to its end, if it is not large
            if path.stat().st_size > LARGEST_JSON:
                return None
            first = _document(path)
    if isinstance(first, list) and first:
        first = first[0]
    return list(first) if isinstance(first, dict) else None


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as problem:
        raise UserError(f"{path} is no JSON: {problem}") from problem


def check_columns(present: list[str], needed: list[str], where: str) -> None:
    """Raise a UserError that names the columns that are needed but not present."""
    if missing := [column for column in needed if column not in present]:
        raise UserError(f"{where} has no column {', '.join(map(repr, missing))}; it has {', '.join(present)}")
