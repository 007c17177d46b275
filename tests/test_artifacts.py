"""Artifacts: written in one go, with what made them, and refused where they are not what is needed."""

import errno
import os
import subprocess
import sys
import threading

import pandas as pd
import pytest

from conftest import ROOT
from taskneurons.core import artifacts
from taskneurons.core.artifacts import read_frame, read_provenance, replacing, write_frame, write_json
from taskneurons.core.errors import UserError

SWAPS = ["in one go", "in two renames"]


@pytest.fixture(params=SWAPS)
def swap(request, monkeypatch):
    """The two ways to exchange folders: the system's own, and that of a system without it."""
    if request.param == "in two renames":
        monkeypatch.setattr(artifacts.ctypes, "CDLL", lambda name: object())
    return request.param


def make_folder(path, files):
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_takes_the_place_of_the_old_one(tmp_path, swap):
    """Nothing of the old folder stays, neither in the new one nor beside it."""
    make_folder(tmp_path / "model", {"weights": "old", "left over": "old"})
    with replacing(tmp_path / "model") as partial:
        make_folder(partial, {"weights": "new"})
        assert content(tmp_path / "model") == {"weights": "old", "left over": "old"}
    assert content(tmp_path / "model") == {"weights": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failing_block_leaves_the_old_one(tmp_path, swap):
    make_folder(tmp_path / "model", {"weights": "old"})
    (tmp_path / "file").write_text("old")
    for name in ("model", "file", "absent"):
        with pytest.raises(OSError, match="full"), replacing(tmp_path / name) as partial:
            if name == "model":
                make_folder(partial, {"weights": "half"})
            else:
                partial.write_text("half")
            raise OSError(errno.ENOSPC, "the disk is full")
    assert content(tmp_path / "model") == {"weights": "old"}
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "model"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two folders in one go")
def test_a_folder_that_is_replaced_is_always_there(tmp_path):
    """Another thread looks at it all the time while it is replaced again and again."""
    folder, seen, done = tmp_path / "model", set(), threading.Event()
    make_folder(folder, {"weights": "0"})

    def read():
        while not done.is_set():
            seen.add(folder.is_dir())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 200):
            with replacing(folder) as partial:
                make_folder(partial, {"weights": str(number)})
            assert content(folder) == {"weights": str(number)}
    finally:
        done.set()
        reader.join()
    assert seen == {True}


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "new folder" / "file.json"
    for number in (1, 2):
        write_json(path, {"number": number})
        assert path.read_text() == f'{{\n  "number": {number}\n}}\n'
    assert [found.name for found in path.parent.iterdir()] == ["file.json"]


def test_what_a_killed_process_left_is_removed_by_the_next_try(tmp_path):
    """Of the same path only: another's may be at work, and a name may look like a pattern."""
    code = "import os, sys; from taskneurons.core.artifacts import replacing\n"
    code += "with replacing(sys.argv[1]) as partial: partial.mkdir(); os._exit(1)"
    for name in ("f*[a]", "f*[a].json", "fb[a]"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], cwd=ROOT / "workflow")
    assert len(list(tmp_path.iterdir())) == 3
    write_json(tmp_path / "f*[a]", 1)
    names = sorted(path.name.rsplit(".", 2)[0] for path in tmp_path.iterdir() if path.is_dir())
    assert names == [".f*[a].json", ".fb[a]"]


def test_all_files_and_folders_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """The order of what is written to the disk itself, and of the rename."""
    done, path, own = [], tmp_path / "model", os.fsync
    monkeypatch.setattr(artifacts.os, "fsync", lambda handle: done.append(of(handle)) or own(handle))

    def of(handle):
        known = [*tmp_path.rglob("*"), tmp_path]
        (found,) = [one for one in known if os.path.samestat(one.stat(), os.fstat(handle))]
        return found.relative_to(tmp_path).as_posix(), path.exists()

    with replacing(path) as partial:
        make_folder(partial, {"weights": "new"})
    (weights, before), (folder, also_before), (parent, after) = done
    assert (weights.endswith("/model/weights"), folder.endswith("/model"), parent) == (True, True, ".")
    assert (before, also_before, after) == (False, False, True)


def test_a_table_comes_back_with_what_made_it(tmp_path):
    frame = pd.DataFrame({"layer": [0, 1], "score": [0.5, None]})
    write_frame(tmp_path / "t.parquet", frame, "scores", {"task": "a", "spec": {"code": {"x": "y"}}})
    found, provenance = read_frame(tmp_path / "t.parquet", "scores")
    pd.testing.assert_frame_equal(found, frame)
    content = provenance.pop("content")
    assert content and provenance == {"task": "a", "spec": {"code": {"x": "y"}}, "kind": "scores"}
    with pytest.raises(UserError, match=r"t\.parquet holds 'scores', where 'mask' is needed"):
        read_frame(tmp_path / "t.parquet", "mask")
    frame.to_parquet(tmp_path / "foreign.parquet")
    with pytest.raises(UserError, match="holds 'no artifact of this workflow'"):
        read_provenance(tmp_path / "foreign.parquet", "mask")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(UserError, match=r"text\.parquet is not a Parquet file"):
        read_frame(tmp_path / "text.parquet", "mask")
