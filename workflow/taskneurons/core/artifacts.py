"""Artifacts as files: atomic writes, and the provenance that says what made a file and what is in it.

Every artifact carries its provenance: a Parquet file in its schema metadata, under the key `taskneurons`, a page or a
drawing in a comment at its end. It is a JSON object with the `kind` of artifact, the `spec` of the step that wrote it
(the config keys that matter, the code's content hash, the packages' versions, the links of its inputs), its own `link`
in the chain (`chain.py`), what it was made of, and `content`, a hash of the rows and of all that is said, which is
checked when the file is read.
"""

import ctypes
import errno
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from taskneurons.core.chain import (
    HINT,
    METADATA_KEY,
    note_of_output,
    split_note,
    text_content,
    with_note,
)
from taskneurons.core.content import checked_before, content_hash, remember_checked, table_hash
from taskneurons.core.errors import DamagedError, UserError

SCRATCH = ".scratch"  # how the name of a temporary folder ends

# Linux's renameat2: paths are taken from the working folder, and the two change places.
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise.

    Works for files and for folders, so that a reader never sees half an artifact, not after a power cut either. What a
    killed process left of an earlier try is removed: one process at a time may write a path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????{SCRATCH}"):
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SCRATCH, dir=path.parent))
    scratch.chmod(0o755)  # mkdtemp makes private folders; an artifact is as readable as its neighbours
    partial = scratch / path.name
    try:
        yield partial
        if partial.is_file():
            partial.chmod(0o644)  # safetensors makes private files
        _sync(partial)
        if path.is_dir():
            _exchange(partial, path)  # what was there goes with the scratch folder
        else:
            partial.replace(path)
        _sync_one(path.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sync(path: Path) -> None:
    """Have a file, or all that a folder holds, written to the disk itself."""
    for one in (*path.rglob("*"), path):
        _sync_one(one)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno != errno.EINVAL:  # a file system that does this for no folder
            raise
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> None:
    """Swap two paths in one go where the system can (Linux); elsewhere in two renames."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is not None and renameat2(AT_FDCWD, bytes(one), AT_FDCWD, bytes(other), RENAME_EXCHANGE) == 0:
        return
    other.replace(one.with_name(f"{one.name}.before"))
    one.replace(other)


def write_frame(path: str | Path, frame: pd.DataFrame, kind: str, provenance: dict[str, Any]) -> None:
    """Write a table with its provenance, atomically."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    note = {**provenance, "kind": kind, **note_of_output(path)}
    note["content"] = _frame_content(table, note)
    metadata = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(note, sort_keys=True).encode()}
    with replacing(path) as partial:
        pq.write_table(table.replace_schema_metadata(metadata), partial)


def _frame_content(table: pa.Table, note: dict[str, Any]) -> str:
    """The hash of a table's values and types, and of all that is said of it."""
    pandas = (table.schema.metadata or {}).get(b"pandas", b"")
    said = {key: value for key, value in note.items() if key != "content"}
    return content_hash([table_hash(table), pandas.decode(errors="replace"), said])


def read_provenance(path: str | Path, kind: str) -> dict[str, Any]:
    """The provenance of a Parquet artifact of the given kind.

    Raises:
        UserError: the file is missing, or is not an artifact of that kind.
    """
    if not Path(path).exists():
        raise UserError(f"{path} does not exist: run the step that makes it first")
    try:
        note = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
        provenance = json.loads(note) if note else {}
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise DamagedError(
            Path(path), f"{path} is not a Parquet file, or a damaged one ({problem}): {HINT.format(path)}"
        ) from problem
    if provenance.get("kind") != kind:
        raise UserError(
            f"{path} holds {provenance.get('kind') or 'no artifact of this workflow'!r}, where {kind!r} is needed"
        )
    return provenance


def read_frame(path: str | Path, kind: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the provenance of an artifact of the given kind.

    Raises:
        UserError: as `read_provenance`, or the rows are not those that were written.
    """
    provenance = read_provenance(path, kind)
    content = str(provenance.get("content"))
    try:
        table = pq.read_table(path)
        whole = checked_before(Path(path), content) or _frame_content(table, provenance) == content
    except (pa.ArrowException, OSError, ValueError):
        whole = False
    if not whole:
        raise damaged(path)
    remember_checked(Path(path), content)
    return table.to_pandas(), provenance


def damaged(path: str | Path, artifact: str | Path | None = None) -> DamagedError:
    """The error about content that is not what was written; of a model, `path` is a file and `artifact` its folder."""
    artifact = path if artifact is None else artifact
    return DamagedError(
        Path(artifact),
        f"{path} is damaged or was edited: its content is not what it says of itself. {HINT.format(artifact)}",
    )


def write_text(path: str | Path, text: str, kind: str, provenance: dict[str, Any]) -> None:
    """Write a page or a drawing (HTML, SVG) with its provenance as a comment at its end, atomically."""
    note = {**provenance, "kind": kind, **note_of_output(path)}
    note["content"] = text_content(text, note)
    with replacing(path) as partial:
        partial.write_text(with_note(text, note))


def read_text(path: str | Path, kind: str) -> str:
    """The text of what `write_text` made, without its provenance.

    Raises:
        UserError: the file is missing, of another kind, or not what was written.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist: run the step that makes it first")
    try:
        text, note = split_note(Path(path).read_text())
    except ValueError:
        raise damaged(path) from None
    if note.get("kind") != kind or note.get("content") != text_content(text, note):
        raise damaged(path)
    return text


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, atomically."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
