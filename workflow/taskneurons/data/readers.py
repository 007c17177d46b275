"""The rows of a local data file as they are written: one reader a format, and one message for each way to be broken.

Nothing is guessed. A CSV's cells are texts, and an empty one is an empty text; a JSON's numbers are the texts that
stand there, and a key that a row lacks is null. Rows are counted from 1, without a CSV's header and empty lines.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taskneurons.core.errors import UserError
from taskneurons.data.files import check_columns

Row = dict[str, Any]

LARGEST_DOCUMENT = 100 * 2**20  # bytes of a JSON document that is read just to see its beginning
BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError)  # what Arrow raises of files that are

csv.field_size_limit(sys.maxsize)  # of one cell; Python's own limit is 128 KiB, less than an article may have


def read_rows(path: Path, columns: list[str]) -> list[Row]:
    """All rows of a data file, of each the given columns; its suffix is the format.

    Raises:
        UserError: the file is broken, has no rows, or has no such column or one that holds no texts or numbers.
    """
    if path.suffix == ".parquet":
        return _parquet_rows(path, columns)
    return list(_csv_rows(path, columns) if path.suffix == ".csv" else _json_rows(path, columns))


def check_beginning(path: Path, columns: list[str]) -> None:
    """Raise what `read_rows` would, as far as a Parquet file's schema, or the first row of another, tells."""
    if path.suffix == ".parquet":
        with _parquet(path) as file:
            _check_schema(path, file, columns)
    elif path.suffix == ".csv":
        next(_csv_rows(path, columns))
    elif path.stat().st_size <= LARGEST_DOCUMENT or not _begins_a_list(path):
        next(_json_rows(path, columns))


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends, without a byte order mark."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as problem:
                byte = f"{line[problem.start]:#04x}"
                raise UserError(
                    f"{path}, line {number}: the byte {byte} is no UTF-8: save the file as UTF-8"
                ) from problem
            if "\0" in text:
                raise UserError(f"{path}, line {number}: holds a NUL byte, as UTF-16 does: save the file as UTF-8")
            yield text


def _no_rows(path: Path) -> UserError:
    return UserError(f"{path} holds no rows")


def _check_names(path: Path, names: list[str], columns: list[str]) -> None:
    if repeated := [name for name, count in Counter(names).items() if name and count > 1]:
        raise UserError(f"{path} has the column {repeated[0]!r} twice")
    check_columns(names, columns, str(path))


# ---- CSV ----


def _csv_rows(path: Path, columns: list[str]) -> Iterator[Row]:
    reader = csv.reader(_lines(path), strict=True)
    names: list[str] = []
    number = 0  # of the last row
    try:
        for cells in filter(None, reader):
            if not names:
                names = cells
                _check_names(path, names, columns)
                continue
            number += 1
            if len(cells) != len(names):
                raise UserError(
                    f"{path}, row {number} (line {reader.line_num}): {len(cells)} cells, where the header names "
                    f"{len(names)} columns: "
                    + (
                        "every column needs its cell, also an empty one"
                        if len(cells) < len(names)
                        else "a text with a comma, a quote or a line break has to stand in quotes"
                    )
                )
            row = dict(zip(names, cells, strict=True))
            yield {column: row[column] for column in columns}
    except csv.Error as problem:
        raise UserError(
            f"{path}, row {number + 1} (line {reader.line_num}): is no CSV ({problem}): a text with a comma, a quote "
            "or a line break has to stand in quotes, and a quote in it twice"
        ) from problem
    if not number:
        raise _no_rows(path)


# ---- JSON ----


def _begins_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"["


def _object(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {repeated!r} is there twice in one object")
    return found


def _constant(word: str) -> None:
    if word != "NaN":  # which Python and pandas write for a missing number
        raise ValueError(f"{word} is no number of JSON")


def _json(text: str, where: str) -> Any:
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=_constant)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # refuses a half of a pair of surrogates
    except UnicodeEncodeError as problem:
        raise UserError(f"{where}: holds half a character (a single surrogate, \\ud800 to \\udfff)") from problem
    except json.JSONDecodeError as problem:
        line = f"line {problem.lineno}, " if problem.lineno > 1 else ""
        raise UserError(
            f"{where}: is no JSON: {problem.msg} ({line}column {problem.colno}): a file holds one object a line, or "
            "one list of objects"
        ) from problem
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{where}: is no JSON: {problem}") from problem
    return found


def _json_rows(path: Path, columns: list[str]) -> Iterator[Row]:
    """A list of objects, or one object a line."""
    lines = (line for line in _lines(path) if line.strip())
    first = next(lines, None)
    if first is None:
        raise _no_rows(path)
    if first.lstrip().startswith("["):
        found = iter(_json("".join(_lines(path)), str(path)))
    else:
        second = next(lines, "")
        texts = enumerate(chain([first], [second] if second else [], lines), 1)
        found = (_json(text, f"{path}, row {number}") for number, text in texts)
        if not second:
            found = iter([_one_object(path, next(found))])
    number = 0
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise UserError(f"{path}, row {number}: {repr(row)[:40]} is no object: a row is {{column: value, …}}")
        if number == 1:
            check_columns(list(row), columns, str(path))
        yield {column: row.get(column) for column in columns}
    if not number:
        raise _no_rows(path)


def _one_object(path: Path, row: Any) -> Any:
    if isinstance(row, dict) and row and all(isinstance(value, (list, dict)) for value in row.values()):
        raise UserError(f"{path} is one object of columns: write a list of rows, or one row a line (orient='records')")
    return row


# ---- Parquet ----


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except BROKEN as problem:
        raise UserError(f"{path} is no Parquet file: {_one_line(problem)}") from problem


def _one_line(problem: BaseException) -> str:
    return " ".join(str(problem).split())


def _usable(kind: pa.DataType) -> bool:
    """Whether a column's values are texts, numbers or the like, or lists of them."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
    plain = (
        *(types.is_string, types.is_large_string, types.is_string_view, types.is_integer, types.is_floating),
        *(types.is_boolean, types.is_decimal, types.is_date, types.is_time, types.is_timestamp, types.is_null),
    )
    return any(check(kind) for check in plain)


def _check_schema(path: Path, file: pq.ParquetFile, columns: list[str]) -> None:
    schema = file.schema_arrow
    _check_names(path, schema.names, columns)
    for column in columns:
        kind = schema.field(column).type
        if not _usable(kind):
            raise UserError(f"{path}: the column {column!r} holds {kind}, neither texts nor numbers nor lists of them")
    if not file.metadata.num_rows:
        raise _no_rows(path)


def _parquet_rows(path: Path, columns: list[str]) -> list[Row]:
    with _parquet(path) as file:
        _check_schema(path, file, columns)
        try:
            table = file.read(columns=columns).select(columns)  # "a" alone reads a column "a.b" too
            table.validate(full=True)
            return table.to_pylist()
        except BROKEN as problem:
            raise UserError(f"{path} is damaged: {_one_line(problem)}") from problem
