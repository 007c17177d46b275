"""Where a task's data are: the file of a split in a local folder, and that an id of the hub means the hub's."""

from pathlib import Path

from taskneurons.core.errors import UserError

FORMATS = (".parquet", ".json", ".jsonl", ".csv")


def only_file(path: str) -> Path | None:
    """The one data file with all examples: the path itself, or what is alone in a folder; None where there are more."""
    place = Path(path)
    if place.is_file() and place.suffix in FORMATS:
        return place
    found = [file for file in place.iterdir() if file.suffix in FORMATS and file.is_file()] if place.is_dir() else []
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
        UserError: the folder or the file is absent, or there are files in several formats.
    """
    place = Path(folder)
    if place.is_file():
        raise UserError(f"{place} is neither a folder nor a data file: one ends in {', '.join(FORMATS)}")
    if not place.is_dir():
        kind = "file" if place.suffix in FORMATS else "folder"
        raise UserError(f"the data {kind} {place} does not exist (looked up from {Path.cwd()})")
    found = [path for suffix in FORMATS if (path := place / f"{split}{suffix}").is_file()]
    if len(found) > 1:
        raise UserError(f"{place} holds {' and '.join(path.name for path in found)}: keep the one that is meant")
    if found:
        return found[0]
    present = ", ".join(sorted(path.name for path in place.iterdir())) or "nothing"
    raise UserError(f"{place} holds no {split}.parquet, .json, .jsonl or .csv; it holds {present}")


def check_hub_id(name: str) -> None:
    """Raise a UserError if a path here has the id's name: the hub's library would read that, without a word."""
    if Path(name).exists():
        raise UserError(
            f"the hub's data set {name!r} has the name of what is at {Path.cwd() / name}, which would be read in its "
            f"place: write source: {{local: {{path: {name}}}}} if that is meant, else run from another folder"
        )


def check_columns(present: list[str], needed: list[str], where: str) -> None:
    """Raise a UserError that names the columns that are needed but not present."""
    if missing := [column for column in needed if column not in present]:
        plain = [name if name.isprintable() and name == name.strip() else repr(name) for name in present]
        raise UserError(f"{where} has no column {', '.join(map(repr, missing))}; it has {', '.join(plain)}")
