"""Broken and odd data files, and what a run makes of them.

Each case is one file, tried twice: as the train split of a folder whose other splits are healthy, and as the one file
with all examples. Some more are folders as a whole. A case says the rows that a run must read from it, or that it must
be refused; the same code as in a run reads them: the check of a config with two tasks, then the preparation of each
split.
"""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from taskneurons.checks.config import checked_config, data_of, needed_sizes
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.data.prepare import PrepareSettings, main
from taskneurons.data.splits import SOURCE_SPLITS

ROOT = Path(__file__).parents[1]

Pairs = list[tuple[str, str]]  # (text, answer)

FILLER: Pairs = [(f"text {n}", f"answer {n}") for n in range(10)]  # so that no split is empty
ELSEWHERE = {split: [(f"{split} {n}", f"answer {n}") for n in range(4)] for split in ("train", "validation", "test")}
SMALL = {"text": "x", "answer": "y"}


@dataclass(frozen=True)
class Case:
    """A data source.

    Attributes:
        name: what is odd about it.
        write: makes it below a folder.
        path: of the source, below that folder.
        rows: the (text, answer) of all examples that must be read from it; None where it must be refused.
        task: what differs in the task's entry.
    """

    name: str
    write: Callable[[Path], None]
    path: str
    rows: Pairs | None
    task: dict[str, Any] = field(default_factory=dict)

    @property
    def expected(self) -> str:
        return "harmless" if self.rows is not None else "refused clearly"


# ---- files as bytes ----


def csv_cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def csv_file(pairs: Pairs, header: str = "text,answer", end: str = "\n") -> bytes:
    lines = [header, *(f"{csv_cell(text)},{csv_cell(answer)}" for text, answer in pairs)]
    return (end.join(lines) + end).encode()


def csv_lines(*lines: str, header: str = "text,answer") -> bytes:
    """Lines as they are, and the filler behind them."""
    return "\n".join([header, *lines, *(f"{text},{answer}" for text, answer in FILLER), ""]).encode()


def rows_of(pairs: Pairs) -> list[dict[str, Any]]:
    return [{"text": text, "answer": answer} for text, answer in pairs]


def json_lines(*rows: Any) -> bytes:
    """Rows (or lines as they are), and the filler behind them."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in (*rows, *rows_of(FILLER))]
    return ("\n".join(lines) + "\n").encode()


def json_list(pairs: Pairs, **options: Any) -> bytes:
    return json.dumps(rows_of(pairs), **options).encode()


def parquet(texts: Any, answers: Any, more: dict[str, Any] | None = None, **options: Any) -> bytes:
    """Two columns, each an array or what becomes one, and more beside them."""
    table = pa.table({"text": texts, "answer": answers, **(more or {})})
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


TEXTS, ANSWERS = ([pair[n] for pair in FILLER] for n in (0, 1))
WRITERS: dict[str, Callable[[Pairs], bytes]] = {
    ".csv": csv_file,
    ".json": json_list,
    ".jsonl": lambda pairs: b"".join(json.dumps(row).encode() + b"\n" for row in rows_of(pairs)),
    ".parquet": lambda pairs: parquet(*([pair[n] for pair in pairs] for n in (0, 1))),
}


# ---- the cases: (name, bytes, rows or None, what differs in the task) ----

One = tuple[str, bytes, Pairs | None] | tuple[str, bytes, Pairs | None, dict[str, Any]]


def with_filler(*pairs: tuple[str, str]) -> Pairs:
    return [*pairs, *FILLER]


GUESSES = ["NA", "N/A", "null", "None", "nan", "NaN", "01", "1.0", "1e5", "True", "no", "-inf", "2020-01-01", "1,000"]
GUESSED: Pairs = [(text, f"of {text}") for text in GUESSES] + [(f"of {text}", text) for text in GUESSES]
LABELS = {"01": "one", "1": "uno", "1.0": "eins", "NA": "none"}


def csv_cases() -> list[One]:
    long = "long " * 60_000
    odd = "a\u2028b\x85c\x0bd \u00e9\U0001f600 {x} {0} $ \\n"
    healthy = csv_file(FILLER)
    two = "{text} | {more}"
    return [
        ("healthy", healthy, FILLER),
        ("texts that look like nulls and numbers", csv_file(GUESSED), GUESSED),
        (
            "labels that look like numbers",
            csv_file([(f"{label} {n}", label) for label in LABELS for n in range(5)]),
            [(f"{label} {n}", word) for label, word in LABELS.items() for n in range(5)],
            {"labels": LABELS},
        ),
        ("byte order mark", b"\xef\xbb\xbf" + healthy, FILLER),
        ("byte order mark and a quoted header", b"\xef\xbb\xbf" + csv_file(FILLER, '"text","answer"'), FILLER),
        ("Windows line ends", csv_file(FILLER, end="\r\n"), FILLER),
        ("no line end at the end", healthy.rstrip(), FILLER),
        ("empty lines", healthy.replace(b"\n", b"\n\n"), FILLER),
        (
            "commas, quotes and line breaks in quotes",
            csv_file(with_filler(('a, "b"\nc', "d,\n\ne"))),
            with_filler(('a, "b"\nc', "d,\n\ne")),
        ),
        ("odd characters", csv_file(with_filler((odd, odd))), with_filler((odd, odd))),
        ("a cell of 300 kB", csv_file(with_filler((long, "a"))), with_filler((long, "a"))),
        ("a quote inside a text without quotes", csv_lines('5" wide,b'), with_filler(('5" wide', "b"))),
        ("the columns the other way round", csv_file([(a, t) for t, a in FILLER], "answer,text"), FILLER),
        (
            "unnamed columns",
            csv_file([], ",text,answer,,") + b"".join(f"{n},{t},{a},,\n".encode() for n, (t, a) in enumerate(FILLER)),
            FILLER,
        ),
        (
            "an empty cell in the prompt",
            b"text,more,answer\n" + b"".join(f"{t},,{a}\n".encode() for t, a in FILLER),
            [(f"{t} |", a) for t, a in FILLER],
            {"prompt": two + " ->"},
        ),
        ("a dot and brackets in a column's name", csv_file(FILLER, "a.b[0],answer"), FILLER, {"prompt": "{a.b[0]} ->"}),
        ("equal rows", csv_file(FILLER + FILLER[:1]), FILLER),
        ("empty", b"", None),
        ("empty lines alone", b"\n\n\n", None),
        ("a header alone", b"text,answer\n", None),
        ("a header alone, without a line end", b"text,answer", None),
        ("no header", healthy.partition(b"\n")[2], None),
        ("a row too short", csv_lines("a,b", "c", "d,e"), None),
        ("a row too long", csv_lines("a,b", "c,d,e"), None),
        ("a trailing comma in each row", healthy.replace(b'"\n', b'",\n'), None),
        ("Latin-1", csv_lines("caf\u00e9,b").decode().encode("latin-1"), None),
        ("Latin-1 far down", csv_file(FILLER + [(f"more {n}", "b") for n in range(9000)]) + b"caf\xe9,b\n", None),
        ("UTF-16", healthy.decode().encode("utf-16"), None),
        ("UTF-16 without a mark", healthy.decode().encode("utf-16-le"), None),
        ("UTF-32", healthy.decode().encode("utf-32"), None),
        ("half a character at the end", csv_lines("a,b") + "x,\u00e9".encode()[:-1], None),
        ("a NUL byte", csv_lines("a,b\0"), None),
        ("a NUL byte in a column that is not read", csv_file([], "text,answer,other") + b"a,b,c\0\n", None),
        ("a column's name twice", csv_file(FILLER, "text,text"), None),
        ("a column twice, of which one is read", b"text,answer,text\na,b,c\n", None),
        ("a column missing", csv_file(FILLER, "text,reply"), None),
        ("a blank before a column's name", csv_file(FILLER, "text, answer"), None),
        ("semicolons", healthy.replace(b",", b";"), None),
        ("tabs", healthy.replace(b",", b"\t"), None),
        ("cut off inside quotes", csv_file(FILLER)[:-5], None),
        ("a quote that is never closed", csv_lines('"a,b'), None),
        ("quotes with backslashes", csv_lines(r'"a \"b\" c",d'), None),
        ("line ends of old Macs", csv_file(FILLER, end="\r"), None),
        ("compressed", gzip.compress(healthy), None),
        ("Parquet inside", parquet(TEXTS, ANSWERS), None),
        ("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", None),
        ("a web page", b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n", None),
        ("an empty answer", csv_lines("a,"), None),
        (
            "a label that is none",
            csv_file([(f"t{n}", "0") for n in range(12)] + [("u", "1.0")] * 3),
            None,
            {"labels": {"0": "no", "1": "yes"}},
        ),
        ("a file of zeros", bytes(4096), None),
    ]


def json_cases() -> list[One]:
    lines = json_lines()
    digits = "9" * 5000
    listed = with_filler(("a, b", "x"))
    answers = [{"text": text, "answer": answer, "all": [answer, "other"]} for text, answer in FILLER]
    references = {"references": "all"}
    all_lines = [json.dumps(row) for row in answers]

    def referenced(value: str) -> bytes:
        return "\n".join([*all_lines, '{"text": "x", "answer": "y", "all": ' + value + "}"]).encode()

    numbers = ["1", "1.0", "0.10", "1e3", "-0", "12345678901234567890123", digits]
    skipping = {"nulls": "skip"}
    return [
        ("healthy", lines, FILLER),
        ("byte order mark", b"\xef\xbb\xbf" + lines, FILLER),
        ("Windows line ends and empty lines", lines.replace(b"\n", b"\r\n\r\n"), FILLER),
        ("a list", json_list(FILLER), FILLER),
        ("a list over many lines", b"\n  " + json_list(FILLER, indent=4), FILLER),
        ("texts that look like nulls and numbers", json_lines(*rows_of(GUESSED)), GUESSED + FILLER),
        (
            "numbers as they are written",
            json_lines(*(f'{{"text": {n}, "answer": {n}}}' for n in numbers)),
            [*((n, n) for n in numbers), *FILLER],
        ),
        (
            "numbers and texts in one column",
            json_lines({"text": 1, "answer": "a"}, {"text": "b", "answer": 2.5}),
            with_filler(("1", "a"), ("b", "2.5")),
        ),
        ("truth values", json_lines({"text": True, "answer": False}), with_filler(("True", "False"))),
        (
            "line separators of Unicode in a text",
            '{"text": "a\u2028b\x85c", "answer": "d"}\n'.encode() + lines,
            with_filler(("a\u2028b\x85c", "d")),
        ),
        (
            "escaped characters",
            b'{"text": "\\ud83d\\ude00 \\u0000", "answer": "d"}\n' + lines,
            with_filler(("\U0001f600 \0", "d")),
        ),
        ("keys in another order", b'{"answer": "b", "text": "a"}\n' + lines, with_filler(("a", "b"))),
        (
            "more keys in some rows",
            json_lines(SMALL, {**SMALL, "text": "a", "more": {"deep": [1]}}),
            with_filler(("x", "y"), ("a", "y")),
        ),
        ("a null in a column that is not read", json_lines({**SMALL, "more": None}), with_filler(("x", "y"))),
        ("a list of texts in the prompt", json_lines({"text": ["a", "b"], "answer": "x"}), listed),
        ("lists of right answers", "\n".join(all_lines).encode(), FILLER, {"references": "all"}),
        ("nulls that are skipped", json_lines(*({**SMALL, key: None} for key in SMALL)), FILLER, skipping),
        ("numbers that are none, skipped", json_lines('{"text": NaN, "answer": "a"}'), FILLER, skipping),
        ("keys that are missing, skipped", json_lines(SMALL, {"text": "a"}), with_filler(("x", "y")), skipping),
        ("no answers, skipped", referenced("[]"), FILLER, {**references, **skipping}),
        ("a null among the answers, skipped", referenced('["y", null]'), FILLER, {**references, **skipping}),
        ("empty", b"", None),
        ("blanks alone", b" \n\t\n", None),
        ("an empty list", b"[]", None),
        ("null alone", b"null", None),
        ("a list cut off", json_list(FILLER)[:-20], None),
        ("a line cut off", lines[:-8], None),
        ("a first line cut off", b'{"text": "a", "ans', None),
        ("a list of texts", b'["a", "b"]', None),
        ("a list of lists", b'[["text", "answer"], ["a", "b"]]', None),
        ("a row that is a number", json_lines("7"), None),
        ("a later row that is a list", json_lines(SMALL, ["a", "b"]), None),
        ("a row that is null", json_lines(SMALL, "null"), None),
        ("an object over many lines", json.dumps(SMALL, indent=2).encode(), None),
        ("an object of columns", json.dumps({"text": TEXTS, "answer": ANSWERS}).encode(), None),
        (
            "an object of numbered columns",
            json.dumps({"text": dict(enumerate(TEXTS)), "answer": dict(enumerate(ANSWERS))}).encode(),
            None,
        ),
        ("rows below a key", json.dumps({"data": rows_of(FILLER)}).encode(), None),
        ("two rows on a line", json_lines('{"text": "a", "answer": "b"}{"text": "c", "answer": "d"}'), None),
        ("a comma at the end", json_list(FILLER)[:-1] + b",]", None),
        ("single quotes", str(rows_of(FILLER)).encode(), None),
        ("a null in the prompt", json_lines(SMALL, {"text": None, "answer": "a"}), None),
        ("a null as the answer", json_lines(SMALL, {"text": "a", "answer": None}), None),
        ("a number that is none", json_lines(SMALL, '{"text": NaN, "answer": "a"}'), None),
        ("an infinite number", json_lines(SMALL, '{"text": Infinity, "answer": "a"}'), None),
        ("a key missing in a row", json_lines(SMALL, {"text": "a"}), None),
        ("a key missing in the first row", json_lines({"text": "a"}), None),
        ("a null in a list of texts", json_lines(SMALL, {"text": ["a", None], "answer": "b"}), None),
        ("no answers", referenced("[]"), None, references),
        ("a null among the answers", referenced('["y", null]'), None, references),
        ("a null in place of the answers", referenced("null"), None, references),
        ("empty answers", referenced('[""]'), None, references),
        (
            "a label in a list",
            json_lines(*({"text": f"t{n}", "answer": ["0", "1"]} for n in range(9))),
            None,
            {"labels": {"0": "no", "1": "yes"}},
        ),
        ("an object as a value", json_lines(SMALL, {"text": {"a": 1}, "answer": "b"}), None),
        ("lists in a list", json_lines(SMALL, {"text": [["a"]], "answer": "b"}), None),
        ("a key twice", json_lines('{"text": "a", "text": "b", "answer": "c"}'), None),
        ("half a character", json_lines(SMALL, '{"text": "\\ud800", "answer": "b"}'), None),
        ("a hundred thousand brackets", b"[" * 100_000, None),
        ("a hundred thousand objects in a row", b'{"text":' * 100_000, None),
        ("Latin-1", '{"text": "caf\u00e9", "answer": "b"}\n'.encode("latin-1") + lines, None),
        ("UTF-16", lines.decode().encode("utf-16"), None),
        ("UTF-16 without a mark", lines.decode().encode("utf-16-be"), None),
        ("a NUL byte", lines + b'{"text": "a\0", "answer": "b"}\n', None),
        ("compressed", gzip.compress(lines), None),
    ]


def damaged(content: bytes, start: int, length: int) -> bytes:
    """Some bytes turned over."""
    return content[:start] + bytes(byte ^ 255 for byte in content[start : start + length]) + content[start + length :]


def parquet_cases() -> list[One]:
    count = len(FILLER)
    healthy = parquet(TEXTS, ANSWERS)
    checked = parquet(TEXTS, ANSWERS, write_page_checksum=True, compression="none", use_dictionary=False)
    days = [date(2020, 1, 1) + timedelta(days=n) for n in range(count)]
    bad_text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xff\xfe")]
    )
    twice = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(TEXTS)] * 2 + [pa.array(ANSWERS)], ["text", "text", "answer"]), twice)
    arrow = io.BytesIO()
    feather.write_feather(pa.table({"text": TEXTS, "answer": ANSWERS}), arrow)
    nothing: list[Any] = [None] * count
    numbers = [float(n) for n in range(count)]
    skipping = {"nulls": "skip"}
    return [
        ("healthy", healthy, FILLER),
        ("uncompressed, many row groups", parquet(TEXTS, ANSWERS, compression="none", row_group_size=2), FILLER),
        ("categories", parquet(pa.array(TEXTS).dictionary_encode(), pa.array(ANSWERS).dictionary_encode()), FILLER),
        (
            "large and viewed texts",
            parquet(pa.array(TEXTS, pa.large_string()), pa.array(ANSWERS, pa.string_view())),
            FILLER,
        ),
        (
            "dates and numbers",
            parquet(days, numbers),
            [(str(day), str(n)) for day, n in zip(days, numbers, strict=True)],
        ),
        (
            "lists of texts",
            parquet([[text, "b"] for text in TEXTS], ANSWERS),
            [(f"{text}, b", answer) for text, answer in FILLER],
        ),
        (
            "nulls and structs in columns that are not read",
            parquet(TEXTS, ANSWERS, {"none": nothing, "deep": [{"a": 1}] * count}),
            FILLER,
        ),
        ("a column whose name begins with another's", parquet(TEXTS, ANSWERS, {"text.more": nothing}), FILLER),
        ("nulls that are skipped", parquet([*TEXTS, None, "x"], [*ANSWERS, "x", None]), FILLER, skipping),
        (
            "numbers that are none, skipped",
            parquet([*numbers, float("nan")], [*ANSWERS, "x"]),
            [(str(n), a) for n, a in zip(numbers, ANSWERS, strict=True)],
            skipping,
        ),
        ("empty", b"", None),
        ("no rows", parquet(pa.array([], pa.string()), pa.array([], pa.string())), None),
        ("the first half", healthy[: len(healthy) // 2], None),
        ("the last half", healthy[len(healthy) // 2 :], None),
        ("without its last byte", healthy[:-1], None),
        ("text inside", csv_file(FILLER), None),
        ("Arrow inside", arrow.getvalue(), None),
        ("a file of zeros", bytes(4096), None),
        ("a damaged footer", damaged(healthy, len(healthy) - 60, 40), None),
        ("a damaged page with a checksum", damaged(checked, 60, 3), None),
        ("a damaged page header", damaged(checked, 4, 12), None),
        ("a column missing", parquet(TEXTS, ANSWERS).replace(b"answer", b"reply!"), None),
        ("a column's name twice", twice.getvalue(), None),
        ("structs", parquet([{"a": text} for text in TEXTS], ANSWERS), None),
        ("bytes", parquet([text.encode() for text in TEXTS], ANSWERS), None),
        ("lists of lists", parquet([[[text]] for text in TEXTS], ANSWERS), None),
        (
            "mappings",
            parquet(pa.array([[("a", text)] for text in TEXTS], pa.map_(pa.string(), pa.string())), ANSWERS),
            None,
        ),
        ("lengths of time", parquet(TEXTS, [timedelta(days=n) for n in range(count)]), None),
        ("texts that are no UTF-8", parquet(bad_text, ["x"]), None),
        ("a null in the prompt", parquet([*TEXTS, None], [*ANSWERS, "x"]), None),
        ("a null as the answer", parquet([*TEXTS, "x"], [*ANSWERS, None]), None),
        ("nulls alone", parquet(TEXTS, nothing), None),
        ("nulls alone, skipped", parquet(TEXTS, nothing), None, skipping),
        ("a number that is none", parquet([*numbers, float("nan")], [*ANSWERS, "x"]), None),
        ("a null in a list of texts", parquet([["a", None], *([text] for text in TEXTS)], ["x", *ANSWERS]), None),
    ]


def folder_cases() -> list[Case]:
    """What is wrong with a folder, or with a path, as a whole."""
    everything = [pair for pairs in ELSEWHERE.values() for pair in pairs]

    def with_more(files: dict[str, bytes], without: str = "") -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            for split, pairs in ELSEWHERE.items():
                if split != without:
                    (folder / f"{split}.csv").write_bytes(csv_file(pairs))
            for name, content in files.items():
                (folder / name).write_bytes(content)

        return write

    mixed = {"test.jsonl": WRITERS[".jsonl"](ELSEWHERE["test"])}
    latin = {"test.csv": csv_lines("caf\u00e9,b").decode().encode("latin-1")}
    null = {"test.jsonl": json_lines({**SMALL, "answer": None})}
    overlap = {"test.csv": csv_file(ELSEWHERE["train"] + ELSEWHERE["test"])}
    return [
        Case("folder: splits in different formats", with_more(mixed, "test"), ".", everything),
        Case(
            "folder: other files beside them", with_more({"notes.txt": b"\xff", "labels.json": b"{}"}), ".", everything
        ),
        Case("folder: test rows that train has too", with_more(overlap), ".", everything),
        Case("folder: a split in two formats", with_more(mixed), ".", None),
        Case("folder: a split missing", with_more({}, "test"), ".", None),
        Case("folder: a suffix in capitals", with_more({"test.CSV": b""}, "test"), ".", None),
        Case("folder: a split that is a folder", lambda folder: (folder / "train.csv").mkdir(), ".", None),
        Case("folder: a broken test split", with_more(latin), ".", None),
        Case("folder: a null in the test split", with_more(null, "test"), ".", None),
        Case("folder: empty", lambda folder: None, ".", None),
        Case("folder: absent", lambda folder: None, "nowhere", None),
        Case("file: absent", lambda folder: None, "nowhere.csv", None),
        Case("file: of another kind", with_more({"all.txt": b"text,answer\na,b\n"}), "all.txt", None),
    ]


def cases() -> Iterator[Case]:
    """All of them."""
    formats = {".csv": csv_cases(), ".jsonl": json_cases(), ".json": json_cases(), ".parquet": parquet_cases()}
    for suffix, ones in formats.items():
        for name, content, rows, *task in ones:
            yield from _both(f"{suffix[1:]}: {name}", suffix, content, rows, task[0] if task else {})
    yield from folder_cases()


def _both(name: str, suffix: str, content: bytes, rows: Pairs | None, task: dict[str, Any]) -> Iterator[Case]:
    def alone(folder: Path) -> None:
        (folder / f"all{suffix}").write_bytes(content)

    def in_folder(folder: Path) -> None:
        (folder / f"train{suffix}").write_bytes(content)
        for split in ("validation", "test"):
            (folder / f"{split}{suffix}").write_bytes(in_shape(ELSEWHERE[split]))

    shapes = {"references", "labels", "prompt"} & set(task)
    in_shape = WRITERS[suffix]
    yield Case(f"{name} (one file)", alone, f"all{suffix}", rows, task)
    if not shapes:  # the healthy splits beside it have but two columns
        beside = ELSEWHERE["validation"] + ELSEWHERE["test"]
        yield Case(f"{name} (a split)", in_folder, ".", None if rows is None else rows + beside, task)


# ---- trying them ----


def config_of(case: Case, folder: Path) -> dict[str, Any]:
    """A config with a healthy task and the case's, whose splits are as large as can be."""
    local = {"path": str(folder / "tried" / case.path)}
    entry = dict(case.task)
    if "references" in entry:
        local["references"] = entry.pop("references")
    tried = {"family": "f", "source": {"local": local}, "prompt": "{text} ->", "target": "answer", **entry}
    whole = {**tried, "source": {"local": {"path": str(folder / "whole.csv")}}, "prompt": "{text} ->"}
    whole.pop("labels", None)
    return {
        "run": "tried",
        "model": {"name": "m", "source": {"hub": "someone/model", "revision": "main"}},
        "data": {"sizes": {"train": 500, "attribution": 500, "validation": 500, "test": 500}},
        "tasks": {"tried": tried, "whole": whole},
    }


def prepared(case: Case, folder: Path) -> Pairs:
    """The prompts (without their closing words) and targets of all splits, as a run prepares them."""
    task = checked_config(config_of(case, folder), ROOT).tasks["tried"]
    found: Pairs = []
    for split in SOURCE_SPLITS:
        settings = PrepareSettings(
            key="tried",
            split=split,
            task=data_of(task, split),
            sizes=needed_sizes(task, split),
            tokens=task.tokens,
            seed=0,
        )
        path = folder / f"{split}.parquet"
        try:
            main(settings, sources=[], data=path)
        except UserError as problem:
            # Attribution falls back on the validation split, so that there may be nothing left of it.
            if split == "validation" and "is empty" in str(problem):
                continue
            raise
        frame, _ = read_frame(path, "task data")
        found += zip(frame["prompt"].str.removesuffix(" ->"), frame["target"], strict=True)
    return found


def attempt(case: Case, folder: Path) -> dict[str, str]:
    """Write a case into an empty folder and let a run read it: name, expected and real outcome, message."""
    (folder / "tried").mkdir()
    (folder / "whole.csv").write_bytes(csv_file(FILLER))
    case.write(folder / "tried")
    message = ""
    try:
        found = sorted({(text.strip(), answer.strip()) for text, answer in prepared(case, folder)})
    except UserError as problem:
        outcome, message = "refused clearly", str(problem).replace(f"{folder}/", "")
    except Exception as problem:  # what a run would end in
        outcome, message = "traceback", f"{type(problem).__name__}: {problem}"
    else:
        # Texts lose the blanks around them, and equal ones count once.
        right = case.rows is not None and found == sorted(
            {(text.strip(), answer.strip()) for text, answer in case.rows}
        )
        outcome, message = ("harmless", "") if right else ("silently wrong", f"read {found[:3]} …")
    return {"name": case.name, "expected": case.expected, "outcome": outcome, "message": message}


def try_all(folder: Path) -> list[dict[str, str]]:
    """Try every case in a folder of its own below `folder`: name, expected and real outcome, message.

    An outcome is "refused clearly", "harmless", "traceback" or "silently wrong".
    """
    found = []
    for number, case in enumerate(cases()):
        place = folder / str(number)
        place.mkdir(parents=True)
        found.append(attempt(case, place))
    return found
