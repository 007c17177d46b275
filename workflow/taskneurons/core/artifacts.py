"""Parquet and JSON artifacts: atomic writes, and the provenance that says what made a file.

Every Parquet file of the workflow carries its provenance: in its schema metadata, under the key `taskneurons`, a
JSON object with the `kind` of artifact it is, the `spec` of the step that wrote it (the config keys that matter, the
code's content hash and the packages' versions), and whatever identifies its inputs (model identity, data hashes).
"""

import ctypes
import errno
import glob
import hashlib
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

from taskneurons.core.errors import UserError

METADATA_KEY = b"taskneurons"

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
    note = json.dumps({**provenance, "kind": kind}, sort_keys=True)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), METADATA_KEY: note.encode()})
    with replacing(path) as partial:
        pq.write_table(table, partial)


def read_provenance(path: str | Path, kind: str) -> dict[str, Any]:
    """The provenance of an artifact of the given kind.

    Raises:
        UserError: the file is missing, or is not an artifact of that kind.
    """
    if not Path(path).exists():
        raise UserError(f"{path} does not exist: run the step that makes it first")
    try:
        note = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    except pa.ArrowInvalid as problem:
        raise UserError(f"{path} is not a Parquet file ({problem})") from problem
    provenance = json.loads(note) if note else {}
    if provenance.get("kind") != kind:
        raise UserError(
            f"{path} holds {provenance.get('kind') or 'no artifact of this workflow'!r}, where {kind!r} is needed"
        )
    return provenance


def read_frame(path: str | Path, kind: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the provenance of an artifact of the given kind; raises as `read_provenance` does."""
    provenance = read_provenance(path, kind)
    return pd.read_parquet(path), provenance


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, atomically."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def content_hash(content: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=12).hexdigest()
