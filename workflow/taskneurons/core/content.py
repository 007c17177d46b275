"""Content hashes: of tables, of anything that JSON can hold, and of files, which are remembered where they are large.

What is remembered of a file (path, size, time of its last change, hash) is shared by jobs that run at the same time
and by runs in other folders.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskneurons.core.memory import keep, recall

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
    name, now = str(path.resolve()), file_state(path)
    match recall(name):
        case [size, changed, str(found)] if [size, changed] == now:
            return found
    found = bytes_hash(path)
    keep([*now, found], name)
    return found


def file_state(path: Path) -> list[int]:
    """A file's size and the time of its last change: as long as they are the same, so is what it holds."""
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


def checked_before(path: Path, content: str) -> bool:
    """Whether a large file was found to have this content, and has not been changed since."""
    state = file_state(path)
    return state[0] >= LARGE and recall(str(path.resolve())) == [*state, content]


def remember_checked(path: Path, content: str) -> None:
    """Note that a large file has this content."""
    state = file_state(path)
    if state[0] >= LARGE:
        keep([*state, content], str(path.resolve()))
