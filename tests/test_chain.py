"""The chain: links that stand for all that is upstream, what artifacts say of themselves, what a job refuses."""

import json
import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from taskneurons.core import chain, content
from taskneurons.core.artifacts import read_frame, read_text, write_frame, write_text
from taskneurons.core.errors import UserError
from taskneurons.models.tensors_file import read_tensors, write_tensors

FRAME = pd.DataFrame({"prompt": ["a", "b"], "score": [0.5, None], "references": [["a"], ["b", "c"]], "n": [1, 2]})


@pytest.fixture(autouse=True)
def no_job(monkeypatch, tmp_path):
    monkeypatch.setattr(chain._Job, "notes", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# ---- links ----


def test_a_link_stands_for_the_spec_and_the_output():
    spec = {"step": "a", "k": 1, "wildcards": {"task": "t"}, "inputs": {"data": "l1", "masks": ["l2", "l3"]}}
    files = {"data": "d", "masks": ["m", "n"], "out": "o", "others": ["p", "q"]}
    links = chain.output_links(spec, files)
    assert list(links) == ["o", "p", "q"] and len(set(links.values())) == 3
    moved = {"data": "d", "masks": ["m", "n"], "out": "elsewhere/o", "others": ["r", "s"]}
    assert list(chain.output_links(spec, moved).values()) == list(links.values())
    for key, value in {
        "step": "b",
        "k": 2,
        "wildcards": {"task": "u"},
        "inputs": {"data": "l1", "masks": ["l3", "l2"]},  # the order counts
    }.items():
        assert not set(chain.output_links({**spec, key: value}, files).values()) & set(links.values())
    tasks = {**spec, "k": {"x": 1, "y": 2}}, {**spec, "k": {"y": 2, "x": 1}}
    assert chain.output_links(tasks[0], files) != chain.output_links(tasks[1], files)


def test_a_file_that_no_step_makes_counts_by_its_content(tmp_path):
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("a,b\n")
    other.write_text("a,b\n")
    assert chain.foreign_link(one) == chain.foreign_link(other)
    other.write_text("a,c\n")
    assert chain.foreign_link(one) != chain.foreign_link(other)


def test_hashes_of_files_are_remembered_by_size_and_time(tmp_path, monkeypatch):
    file, read = tmp_path / "big", []
    own = content.bytes_hash
    monkeypatch.setattr(content, "bytes_hash", lambda path: read.append(path) or own(path))
    file.write_text("one")
    first = content.remembered_hash(file)
    assert content.remembered_hash(file) == first and len(read) == 1
    file.write_text("two")
    os.utime(file, (1, 1))
    assert content.remembered_hash(file) not in (first, None) and len(read) == 2
    for note in (tmp_path / "cache" / "taskneurons").iterdir():
        note.write_text("no list")
    assert content.remembered_hash(file) == own(file) and len(read) == 3


def test_without_a_cache_folder_hashes_are_taken_anew(tmp_path, monkeypatch):
    (tmp_path / "no folder").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no folder"))
    (tmp_path / "file").write_text("one")
    assert content.remembered_hash(tmp_path / "file") == content.bytes_hash(tmp_path / "file")


# ---- content ----


def write_table(path, frame=FRAME, **said):
    write_frame(path, frame, "scores", {"task": "a", "k": 10, **said})
    return path


def test_what_was_written_is_read(tmp_path):
    frame, note = read_frame(write_table(tmp_path / "t.parquet"), "scores")
    assert frame["prompt"].tolist() == ["a", "b"] and [list(x) for x in frame["references"]] == [["a"], ["b", "c"]]
    assert note["task"] == "a"


@pytest.mark.parametrize(
    "edit",
    [
        {"prompt": ["a", "x"]},
        {"score": [0.5, 0.5]},
        {"score": [None, None]},
        {"references": [["a", "b"], ["c"]]},
        {"n": [1, 3]},
        {"n": [1.0, 2.0]},
        {"other": [1, 2]},
    ],
    ids=str,
)
def test_edited_rows_under_an_old_hash_are_refused(edit, tmp_path):
    path = write_table(tmp_path / "t.parquet")
    metadata = pq.read_schema(path).metadata
    table = pq.read_table(write_table(tmp_path / "other.parquet", FRAME.assign(**edit)))
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(UserError, match=r"t\.parquet is damaged or was edited.*`-R .*t\.parquet` makes it"):
        read_frame(path, "scores")


def test_what_is_said_of_the_rows_is_checked_too(tmp_path):
    path = write_table(tmp_path / "t.parquet")
    table = pq.read_table(path)
    note = json.loads(table.schema.metadata[chain.METADATA_KEY])
    said = {**table.schema.metadata, chain.METADATA_KEY: json.dumps({**note, "k": 11})}
    pq.write_table(table.replace_schema_metadata(said), path)
    with pytest.raises(UserError, match="is damaged or was edited"):
        read_frame(path, "scores")


def test_every_flipped_bit_of_a_small_table_is_seen_or_harmless(tmp_path):
    path = write_table(tmp_path / "t.parquet")
    content, healthy = path.read_bytes(), read_frame(path, "scores")[0]
    refused = 0
    for at in range(4, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
        try:
            pd.testing.assert_frame_equal(read_frame(path, "scores")[0], healthy)
        except UserError as problem:
            assert str(path) in str(problem)
            refused += 1
    assert refused > 50


def test_tensors_with_a_flipped_bit_are_refused(tmp_path):
    path = tmp_path / "t.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}
    write_tensors(path, tensors, "delta", {"k": 1})
    back, note = read_tensors(path, "delta")
    assert note["k"] == 1 and all(torch.equal(back[name], tensors[name]) for name in tensors)
    content = path.read_bytes()
    for at in (len(content) - 1, len(content) - 20, 60):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(UserError, match=r"t\.safetensors"):
            read_tensors(path, "delta")


def test_large_files_are_checked_once(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "LARGE", 1)
    path = tmp_path / "t.safetensors"
    write_tensors(path, {"a": torch.ones(3)}, "delta", {})
    read_tensors(path, "delta")
    state = path.stat()
    changed = path.read_bytes()[:-1] + b"\1"
    path.write_bytes(changed)
    os.utime(path, ns=(state.st_mtime_ns, state.st_mtime_ns))  # the same size and time: it counts as checked
    read_tensors(path, "delta")
    os.utime(path)
    with pytest.raises(UserError, match="is damaged"):
        read_tensors(path, "delta")


def test_pages_and_drawings_say_what_they_are(tmp_path):
    path = tmp_path / "page.html"
    write_text(path, "<p>one -- two</p>\n", "report", {"run": "a--b"})
    assert read_text(path, "report") == "<p>one -- two</p>\n"
    assert chain.recorded(path)["run"] == "a--b"
    assert "--" not in path.read_text().rpartition("<!--")[2].removesuffix(" -->\n")
    path.write_text(path.read_text().replace("two", "three"))
    assert chain.recorded(path) is None
    with pytest.raises(UserError, match="is damaged"):
        read_text(path, "report")


def test_a_twin_is_known_by_its_bytes(tmp_path):
    csv = tmp_path / "t.csv"
    csv.write_text("a\n1\n")
    write_table(tmp_path / "t.parquet", twin=content.bytes_hash(csv))
    assert chain.recorded(csv)["task"] == "a"
    csv.write_text("a\n2\n")
    assert chain.recorded(csv) is None


# ---- a job's inputs ----


def made(path: Path, spec: dict, files: dict, write) -> Path:
    """Let a job write a file."""
    chain.start_job(spec, {name: str(file) for name, file in files.items()})
    write(path)
    return path


@pytest.fixture
def run(tmp_path):
    """Data, scores and a mask, as three jobs make them; with the specs."""
    specs, files = {}, {}
    specs["data"] = {"step": "prepare", "inputs": {}}
    files["data"] = tmp_path / "data.parquet"
    write_data(files["data"], specs["data"], "rows")
    for name, before in (("scores", "data"), ("mask", "scores")):
        files[name] = tmp_path / f"{name}.parquet"
        link = chain.recorded(files[before])["link"]
        specs[name] = {"step": name, "inputs": {before: link}}
        paths = {before: files[before], name: files[name]}
        made(files[name], specs[name], paths, lambda path, name=name: write_frame(path, FRAME, name, {"k": 3}))
    return specs, {name: str(path) for name, path in files.items()}


def write_data(path, spec, data_hash):
    made(path, spec, {"data": path}, lambda path: write_frame(path, FRAME, "task data", {"data_hash": data_hash}))


def test_artifacts_say_what_they_are_made_of(run):
    _, files = run
    data, mask = (chain.recorded(Path(files[name])) for name in ("data", "mask"))
    assert mask["made_of"] == {data["link"]: "rows"}
    assert data["made_of"] == {}
    assert mask["made_with"] == {"k": [3], "seed": [], "model": []}


def test_inputs_that_are_what_the_spec_expects_pass(run):
    specs, files = run
    notes = chain.check_inputs(specs["mask"], {name: files[name] for name in ("scores", "mask")})
    assert [note["kind"] for note in notes] == ["scores"]


def test_another_link_in_its_place_is_refused(run):
    specs, files = run
    Path(files["scores"]).write_bytes(Path(files["mask"]).read_bytes())
    with pytest.raises(UserError, match=r"scores\.parquet is not .* \(scores of mask\): it is mask \(k 3, link"):
        chain.check_inputs(specs["mask"], files)


def test_a_foreign_and_a_missing_input_are_refused(run, tmp_path):
    specs, files = run
    FRAME.to_parquet(files["scores"])
    with pytest.raises(UserError, match="it is no artifact of this workflow"):
        chain.check_inputs(specs["mask"], files)
    Path(files["scores"]).unlink()
    with pytest.raises(UserError, match=r"scores\.parquet does not exist: your snakemake command with `-R"):
        chain.check_inputs(specs["mask"], files)
    source = tmp_path / "source.csv"
    source.write_text("a\n")
    spec = {"step": "prepare", "inputs": {"sources": [chain.foreign_link(source)]}}
    assert chain.check_inputs(spec, {"sources": [str(source)]}) == []
    source.write_text("b\n")
    with pytest.raises(UserError, match=r"source\.csv was changed while the workflow ran"):
        chain.check_inputs(spec, {"sources": [str(source)]})


def test_inputs_made_of_different_data_are_refused(run):
    """The data are made anew by the same spec, but have other rows (a GPU, a download): scores of before do not fit."""
    specs, files = run
    write_data(Path(files["data"]), specs["data"], "other rows")
    links = {name: chain.recorded(Path(files[name]))["link"] for name in ("data", "scores")}
    with pytest.raises(UserError, match=r"scores\.parquet was made of .* with the content rows, and .*data"):
        chain.check_inputs({"step": "s", "inputs": links}, files)


def test_a_step_called_by_hand_is_not_asked(run):
    _, files = run
    chain.start_job({"step": "s"}, files)
    assert chain.note_of_output(files["mask"])["made_of"] == {}
