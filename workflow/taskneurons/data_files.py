"""The files of a local data folder: where a split is, and which columns it has."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq

from taskneurons.errors import UserError

FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv"}


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
        return list(pq.read_schema(path).names)
    with path.open() as file:
        if path.suffix == ".csv":
            return next(csv.reader(file), [])
        try:
            first = json.loads(file.readline())
        except json.JSONDecodeError:  # one JSON document over several lines
            return None
    return list(first) if isinstance(first, dict) else None


def check_columns(present: list[str], needed: list[str], where: str) -> None:
    """Raise a UserError that names the columns that are needed but not present."""
    if missing := [column for column in needed if column not in present]:
        raise UserError(f"{where} has no column {', '.join(map(repr, missing))}; it has {', '.join(present)}")
