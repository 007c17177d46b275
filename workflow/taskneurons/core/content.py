"""Content hashes: of tables, of anything that JSON can hold, and of files, which are remembered where they are large.

What is remembered of a file (path, size, time of its last change, hash) lies in the user's cache folder, one small file
each: jobs that run at the same time, and runs in other folders, share it.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LARGE = 10**9  # bytes of a file that is checked once a machine, not at every reading
CHUNK = 2**24


def short_hash() -> Any:
    """The hash that this library takes of everything: 12 bytes of BLAKE2b."""
    return hashlib.blake2b(digest_size=12)


def content_hash(content: Any) -> str:
    """A short hash of anything that JSON can hold."""
    digest = short_hash()
    digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()


def table_hash(table: pa.Table) -> str:
    """A hash of a table's column names, types and values, however its memory is laid out; its metadata do not count."""
    digest = short_hash()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name}\0".encode())
        _add(digest, pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type))
    return digest.hexdigest()


def _add(digest: Any, array: pa.Array) -> None:
    """Add an array's length, type, nulls and values to a hash."""
    # Texts and lists may be stored in two widths, and a list's items have one name in memory and another in a file.
    kind = str(array.type).removeprefix("large_").partition("<")[0]
    digest.update(f"{kind} {len(array)}\0".encode())
    if pa.types.is_null(array.type):
        return
    digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        digest.update(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64))
        _add(digest, array.flatten())
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        digest.update(pc.binary_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64))
        digest.update("".join(array.fill_null("").to_pylist()).encode())
    else:
        zero = pa.scalar(0).cast(array.type)
        digest.update(np.ascontiguousarray(array.fill_null(zero).to_numpy(zero_copy_only=False)))


def bytes_hash(path: Path) -> str:
    """The hash of a file's bytes."""
    digest = short_hash()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def remembered_hash(path: Path) -> str:
    """The hash of a file's bytes, taken once as long as its size and the time of its last change are the same."""
    state, known = path.stat(), _memory_of(path)
    now = [state.st_size, state.st_mtime_ns]
    if (before := _read(known)) and before[:2] == now:
        return str(before[2])
    found = bytes_hash(path)
    _write(known, [*now, found])
    return found


def checked_before(path: Path, content: str) -> bool:
    """Whether a large file was found to have this content, and has not been changed since."""
    state = path.stat()
    return state.st_size >= LARGE and _read(_memory_of(path)) == [state.st_size, state.st_mtime_ns, content]


def remember_checked(path: Path, content: str) -> None:
    """Note that a large file has this content."""
    state = path.stat()
    if state.st_size >= LARGE:
        _write(_memory_of(path), [state.st_size, state.st_mtime_ns, content])


def _memory_of(path: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "taskneurons" / content_hash(str(path.resolve()))


def _read(memory: Path) -> list[Any] | None:
    try:
        found = json.loads(memory.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) and len(found) == 3 else None


def _write(memory: Path, known: list[Any]) -> None:
    """Keep it where the folder can be written: it saves time and nothing else."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False) as file:
            json.dump(known, file)
        Path(file.name).replace(memory)
    except OSError:
        pass
