"""Parquet and JSON artifacts: atomic writes, and metadata that says what made a file.

Every Parquet file of the workflow carries, in its schema metadata under the key `taskneurons`, a JSON object with
the `kind` of artifact it is, the `spec` of the step that wrote it (the config keys that matter, the code's content
hash and the packages' versions), and whatever identifies its inputs (model identity, data hashes).
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from taskneurons.errors import UserError

METADATA_KEY = b"taskneurons"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise.

    Works for files and for folders, so that a reader never sees half an artifact.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    scratch.chmod(0o755)  # mkdtemp makes private folders; an artifact is as readable as its neighbours
    partial = scratch / path.name
    try:
        yield partial
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_frame(path: str | Path, frame: pd.DataFrame, kind: str, metadata: dict[str, Any]) -> None:
    """Write a table with its metadata, atomically."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    note = json.dumps({**metadata, "kind": kind}, sort_keys=True)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), METADATA_KEY: note.encode()})
    with replacing(path) as partial:
        pq.write_table(table, partial)


def read_metadata(path: str | Path, kind: str) -> dict[str, Any]:
    """The metadata of an artifact of the given kind.

    Raises:
        UserError: the file is missing, or is not an artifact of that kind.
    """
    if not Path(path).exists():
        raise UserError(f"{path} does not exist: run the step that makes it first")
    try:
        note = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    except pa.ArrowInvalid as problem:
        raise UserError(f"{path} is not a Parquet file ({problem})") from problem
    metadata = json.loads(note) if note else {}
    if metadata.get("kind") != kind:
        raise UserError(
            f"{path} holds {metadata.get('kind') or 'no artifact of this workflow'!r}, where {kind!r} is needed"
        )
    return metadata


def read_frame(path: str | Path, kind: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the metadata of an artifact of the given kind; raises as `read_metadata` does."""
    metadata = read_metadata(path, kind)
    return pd.read_parquet(path), metadata


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, atomically."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def content_hash(content: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=12).hexdigest()
