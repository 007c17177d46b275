"""The committed copy of a run: its files and its record."""

import json

import pandas as pd
import pytest

from taskneurons.core.artifacts import write_frame, write_json
from taskneurons.core.errors import UserError
from taskneurons.report.publish import publish


def run_in(run, table):
    """A run that has one table and its figure."""
    for name, seconds in (("multitask-seed0", 60.0), ("zero_shot/a", 5.0), ("zero_shot/b", 6.0)):
        stats = {"wall_seconds": seconds, "cpu_seconds": 2 * seconds, "peak_memory_mib": 100 + seconds}
        stats |= {"commit": "later" if name == "zero_shot/b" else "earlier", "machine": "abacus"}
        write_json(run / "logs" / f"{name}.stats.json", stats)
    (run / "tables").mkdir()
    (run / "tables" / f"{table}.csv").write_text("a\n1\n")
    (run / "figures").mkdir()
    (run / "figures" / f"{table}.svg").write_text("<svg/>")
    write_json(run / "models" / "base" / "identity.json", {"origin": "a GGUF file", "identity": "abc", "spec": {}})
    spec = {"code": {"packages": {"torch": "2.13.0"}}}
    frame = pd.DataFrame({"score": [1.0]})
    write_frame(run / "predictions" / "base" / "a.parquet", frame, "predictions", {"dtype": "float32", "spec": spec})
    return run


def test_a_run_is_copied_with_its_record(tmp_path):
    run, out = run_in(tmp_path / "run", "deactivation"), tmp_path / "docs"
    (out / "tables").mkdir(parents=True)
    (out / "tables" / "of_an_older_run.csv").touch()
    publish(run, out, "snakemake")
    (record,) = json.loads((out / "run.json").read_text())
    assert (record["tables"], record["figures"]) == (["deactivation"], ["deactivation"])
    assert record["cpu_seconds"] == 142
    assert record["seconds_by_step"] == {"multitask-seed0": 60.0, "zero_shot": 11.0}
    assert record["peak_memory_mib"] == 160
    assert (record["command"], record["dtype"]) == ("snakemake", "float32")
    assert (record["commit"], record["machine"]) == (["earlier", "later"], "abacus")
    assert record["model"] == {"origin": "a GGUF file", "identity": "abc"}
    assert [path.name for path in (out / "tables").iterdir()] == ["deactivation.csv"]
    assert (out / "tables" / "deactivation.csv").read_text() == "a\n1\n"
    assert (out / "figures" / "deactivation.svg").exists()


def test_a_run_is_published_in_parts(tmp_path):
    out = tmp_path / "docs"
    for number, table in enumerate(["deactivation", "jaccard", "deactivation"]):
        publish(run_in(tmp_path / str(number), table), out, f"run {number}")
    records = json.loads((out / "run.json").read_text())
    assert [(one["command"], one["tables"]) for one in records] == [("run 2", ["deactivation"]), ("run 1", ["jaccard"])]
    assert {path.stem for path in (out / "figures").iterdir()} == {"deactivation", "jaccard"}


def test_an_unfinished_run_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no tables"):
        publish(tmp_path, tmp_path / "out", "snakemake")
