"""Data files are read as they are written, and one that is broken, or a null, is told by file, column and row."""

import random
import sys

import pandas as pd
import pytest

from conftest import ROOT
from taskneurons.config.settings import PreparedTask, ResolvedSource, TokenBudget
from taskneurons.core.artifacts import read_frame, read_provenance
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import Encoded
from taskneurons.data.files import local_file, only_file
from taskneurons.data.prepare import LOSSES, PrepareSettings, main, source_examples
from taskneurons.data.readers import check_beginning, read_rows
from taskneurons.data.sources import shuffled_rows
from taskneurons.data.task import read_task
from taskneurons.data.templates import filled
from taskneurons.evaluation.prediction import predictions_frame, write_predictions

sys.path.insert(0, str(ROOT))

from reliability import data_files
from reliability.data_files import Case, attempt, cases, csv_file

SAMPLE = random.Random(0).sample(list(cases()), 12)
COLUMNS = ["text", "label"]
SIZES = {"train": 4, "attribution": 2, "test": 3, "validation": 2}


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.name)
def test_a_sample_of_odd_files(case, tmp_path):
    """All are tried by `reliability/data_files.py`."""
    found = attempt(case, tmp_path)
    assert found["outcome"] == case.expected, found["message"]
    if case.rows is None and "is empty" not in found["message"]:
        assert "tried/" in found["message"]


def test_each_case_is_one():
    names = [case.name for case in cases()]
    assert len(names) == len(set(names)) >= 59


def test_an_attempt_sees_a_traceback_and_a_wrong_row(tmp_path, monkeypatch):
    def write(folder):
        (folder / "all.csv").write_bytes(csv_file([(f"t{n}", f"a{n}") for n in range(10)]))

    right = [(f"t{n}", f"a{n}") for n in range(10)]
    for name, rows in {"right": right, "wrong": [("t0", "other"), *right[1:]], "accepted": None}.items():
        (tmp_path / name).mkdir()
        outcome = attempt(Case(name, write, "all.csv", rows), tmp_path / name)["outcome"]
        assert outcome == ("harmless" if name == "right" else "silently wrong")
    monkeypatch.setattr(data_files, "main", lambda *arguments, **files: {}["no such key"])
    (tmp_path / "fails").mkdir()
    assert attempt(Case("fails", write, "all.csv", right), tmp_path / "fails")["outcome"] == "traceback"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv holds no rows"),
        ("a.csv", b"text,label\n", "a.csv holds no rows"),
        (
            "a.csv",
            b'text,label\n"a\n",0\nb\n',
            "a.csv, row 2 (line 4): 1 cells, where the header names 2 columns: every column needs its cell, also an "
            "empty one",
        ),
        ("a.csv", b"text,label,text\na,b,c\n", "a.csv has the column 'text' twice"),
        ("a.csv", b"text,label\ncaf\xe9,0\n", "a.csv, line 2: the byte 0xe9 is no UTF-8: save the file as UTF-8"),
        (
            "a.csv",
            "text,label\n".encode("utf-16-le"),
            "a.csv, line 1: holds a NUL byte, as UTF-16 does: save the file as UTF-8",
        ),
        (
            "a.csv",
            b'text,label\na,0\n"b,1\n',
            "a.csv, row 2 (line 3): is no CSV (unexpected end of data): a text with a comma, a quote or a line break "
            "has to stand in quotes, and a quote in it twice",
        ),
        ("a.csv", b"text, label\na,b\n", "a.csv has no column 'label'; it has text, ' label'"),
        ("a.jsonl", b"\n", "a.jsonl holds no rows"),
        ("a.json", b"[]", "a.json holds no rows"),
        ("a.json", b'["x"]', "a.json, row 1: 'x' is no object: a row is {column: value, …}"),
        (
            "a.jsonl",
            b'{"text": "a", "label": 0}\n{"text": "b", "la',
            "a.jsonl, row 2: is no JSON: Unterminated string starting at (column 15): a file holds one object a line, "
            "or one list of objects",
        ),
        (
            "a.json",
            b'[{"text": "a",\n "label": 0},',
            "a.json: is no JSON: Expecting value (line 2, column 14): a file holds one object a line, or one list of "
            "objects",
        ),
        (
            "a.json",
            b'{"text": ["a", "b"], "label": [0, 1]}',
            "a.json is one object of columns: write a list of rows, or one row a line (orient='records')",
        ),
        (
            "a.jsonl",
            b'{"text": "a", "text": "b", "label": 0}',
            "a.jsonl, row 1: is no JSON: the key 'text' is there twice in one object",
        ),
        (
            "a.parquet",
            b"",
            "a.parquet is no Parquet file: Parquet file size is 0 bytes",
        ),
    ],
)
def test_a_broken_file_is_told_in_one_message(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as told:
        read_rows(path, COLUMNS)
    assert str(told.value) == f"{tmp_path}/{message}"


def test_the_beginning_tells_before_any_work(tmp_path):
    for name, content in {"a.csv": b"text,label\na,0\n\xff", "a.jsonl": b'{"text": "a", "label": "0"}\n{'}.items():
        (tmp_path / name).write_bytes(content)
        check_beginning(tmp_path / name, COLUMNS)  # what is wrong stands further down
        with pytest.raises(UserError, match="has no column 'other'; it has text, label"):
            check_beginning(tmp_path / name, ["other"])
        with pytest.raises(UserError, match=r"line 3|row 2"):
            read_rows(tmp_path / name, COLUMNS)
    pd.DataFrame({"text": [{"a": 1}], "label": [0]}).to_parquet(tmp_path / "a.parquet")
    check_beginning(tmp_path / "a.parquet", ["label"])
    with pytest.raises(UserError, match=r"the column 'text' holds struct<a: int64>, neither texts nor numbers"):
        check_beginning(tmp_path / "a.parquet", COLUMNS)


def test_cells_and_numbers_are_what_is_written(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbf"text",label\r\nNA,01\r\n"a ""b"",\n c",1.0\r\n\r\nnull,\r\n')
    assert read_rows(tmp_path / "a.csv", COLUMNS) == [
        {"text": "NA", "label": "01"},
        {"text": 'a "b",\n c', "label": "1.0"},
        {"text": "null", "label": ""},
    ]
    (tmp_path / "a.jsonl").write_text('{"text": 1.50, "label": 1}\n{"text": "2020-01-01", "other": 1}\n{"text": NaN}')
    assert read_rows(tmp_path / "a.jsonl", COLUMNS) == [
        {"text": "1.50", "label": "1"},
        {"text": "2020-01-01", "label": None},
        {"text": None, "label": None},
    ]


def test_an_absent_or_doubtful_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"the data file .*nowhere\.csv does not exist \(looked up from"):
        local_file(str(tmp_path / "nowhere.csv"), "train")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes\.txt is neither a folder nor a data file: one ends in \.parquet, "):
        local_file(str(tmp_path / "notes.txt"), "train")
    for name in ("train.csv", "train.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"holds train\.jsonl and train\.csv: keep the one that is meant"):
        local_file(str(tmp_path), "train")
    (tmp_path / "folder" / "train.csv").mkdir(parents=True)
    assert only_file(str(tmp_path / "folder")) is None


def test_a_column_may_have_any_name():
    assert filled("{a.b} {c[0]!r:>4} {{d}} :", {"a.b": "{x}", "c[0]": "y"}) == "{x}  'y' {d} :"


# ---- nulls, and what is lost ----


def task_of(folder, splits: dict[str, list[tuple[object, object]]], **changes) -> PreparedTask:
    for split, rows in splits.items():
        pd.DataFrame(rows, columns=COLUMNS).to_json(folder / f"{split}.jsonl", orient="records", lines=True)
    source = ResolvedSource(local=str(folder), splits={split: split for split in splits})
    fields = {"prompt": "{text} :", "target": "label", "labels": None, "metric": "rougeL", "source": source}
    return PreparedTask(**{**fields, **changes})


def healthy(name: str, count: int = 10) -> list[tuple[object, object]]:
    return [(f"{name} {n}", f"answer {n}") for n in range(count)]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_null_is_told_by_file_column_and_row(column, tmp_path):
    """Rows are read in another order than they stand in."""
    row = ("x", None) if column == "label" else (None, "x")
    splits = {"train": [*healthy("train", 6), row, *healthy("more", 3)], "validation": healthy("v"), "test": []}
    task = task_of(tmp_path, splits)
    with pytest.raises(UserError, match=rf"/train\.jsonl, row 7: the column '{column}' holds a null or nothing: mend"):
        source_examples(task, "train", {"train": 10}, seed=0)


def test_nulls_among_the_right_answers(tmp_path):
    rows = [{"text": "a", "label": "b", "all": all_answers} for all_answers in (["b"], ["b", None], [], None)]
    for split in ("train", "validation", "test"):
        pd.DataFrame(rows).to_parquet(tmp_path / f"{split}.parquet")
    source = ResolvedSource(local=str(tmp_path), splits={"train": "train"}, references="all")
    fields = {"prompt": "{text} :", "target": "label", "labels": None, "metric": "rougeL", "source": source}
    with pytest.raises(UserError, match=r"train\.parquet, row [234]: the column 'all' holds a null or nothing"):
        source_examples(PreparedTask(**fields), "train", {"train": 4}, seed=0)
    made = source_examples(PreparedTask(**fields, nulls="skip"), "train", {"train": 4}, seed=0)
    assert made.examples == [{"prompt": "a :", "target": "b", "references": ["b"]}]
    assert made.lost == {"duplicates": 0, "overlap": 0, "nulls": 3}


def test_lost_rows_are_counted_where_they_were_looked_at(tmp_path):
    """Train and attribution share a source split: each of its rows counts once."""
    train = [*healthy("train", 9), *healthy("train", 3), (None, "x")]
    test = [("train 0", "a"), ("train 0", "a"), ("new", "a"), ("new", "b"), ("new", None), (None, "a"), ("newer", "a")]
    task = task_of(tmp_path, {"train": train, "validation": healthy("v", 4), "test": test}, nulls="skip")
    sizes = {"train": 50, "attribution": 3, "test": 50, "validation": 4}
    made = {split: source_examples(task, split, sizes, seed=0) for split in sizes}
    assert {split: (len(one.examples), *one.lost.values()) for split, one in made.items()} == {
        "train": (8, 3, 0, 1),  # of 9 different prompts 90 % train
        "attribution": (1, 0, 0, 0),
        "test": (2, 1, 2, 2),
        "validation": (4, 0, 0, 0),
    }


def test_rows_behind_a_full_split_do_not_count(tmp_path):
    """Not even where the rest of the source is searched for references."""
    test = [("a", "x")] * 50
    task = task_of(tmp_path, {"train": healthy("t"), "validation": healthy("v"), "test": test}, nulls="skip")
    made = source_examples(task, "test", {"train": 5, "attribution": 2, "test": 1}, seed=0)
    assert made.lost == dict.fromkeys(LOSSES, 0) and len(made.examples) == 1
    more = source_examples(task, "test", {"train": 5, "attribution": 2, "test": 2}, seed=0)
    assert more.lost == {"duplicates": 49, "overlap": 0, "nulls": 0}


def test_a_null_that_no_split_needs_is_not_looked_at(tmp_path):
    """The row behind the last one that was needed is not read."""
    rows = [*healthy("t", 5), (None, "x")]
    task = task_of(tmp_path, {"train": rows, "validation": healthy("v"), "test": healthy("u")})
    seed = next(seed for seed in range(50) if _last(task, seed)["text"] is None)
    assert len(source_examples(task, "train", {"train": 5}, seed).examples) == 5


def _last(task: PreparedTask, seed: int) -> dict:
    return list(shuffled_rows(task.source, "train", COLUMNS, seed))[-1][1]


def test_what_was_lost_reaches_the_predictions(tmp_path, caplog):
    train = healthy("train", 6)
    task = task_of(
        tmp_path,
        {"train": train, "validation": healthy("v"), "test": [train[0], ("a", "b"), ("a", "c"), (None, "d")]},
        nulls="skip",
    )
    settings = PrepareSettings(
        key="t", split="test", task=task, sizes={**SIZES, "train": 6}, tokens=TokenBudget(), seed=0
    )
    caplog.set_level("INFO")
    main(settings, sources=[], data=tmp_path / "out.parquet")
    lost = {"duplicates": 1, "overlap": 1, "nulls": 1}
    assert "t: test: 1 examples; of the rows looked at were lost: 1 duplicates, 1 overlap, 1 nulls" in caplog.text
    frame, provenance = read_frame(tmp_path / "out.parquet", "task data")
    assert len(frame) == 1 and provenance["lost"] == lost and provenance["spec"]["task"]["nulls"] == "skip"
    read = read_task(tmp_path / "out.parquet")
    assert read.lost == lost
    encoded = [Encoded([1], [2], False, False)]
    write_predictions(tmp_path / "p.parquet", [predictions_frame("none", ["b"], [1.0])], read, encoded, {})
    assert read_provenance(tmp_path / "p.parquet", "predictions")["lost"] == lost
