"""One run of the whole workflow on a scaled-down config: its files, their metadata, and a second run's idleness."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import ROOT
from reliability.corruptions import Finished, attempt, cases
from reliability.kills import merged
from reliability.small import TASKS, bytes_of, command, project_copy, small_config
from taskneurons.core import owner
from taskneurons.core.artifacts import read_frame, read_provenance
from taskneurons.models.loaded import read_model_provenance
from taskneurons.neurons.mask_file import read_mask
from taskneurons.report.contents import TABLES


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).parent / "snakemake"), "--configfile", "small.json", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    project_copy(folder)
    (folder / "small.json").write_text(json.dumps(small_config()))
    result = snakemake(folder)
    assert result.returncode == 0, result.stderr[-5000:]
    assert "The report is at results/small/report.html" in result.stderr
    return folder


@pytest.fixture
def results(project) -> Path:
    return project / "results" / "small"


def test_a_second_run_does_nothing(project):
    assert "Nothing to be done" in snakemake(project).stderr


def test_deactivation_table(results):
    table = pd.read_csv(results / "tables" / "deactivation.csv")
    assert list(table.columns[:11]) == [
        *("model", "method", "task", "metric", "value", "ci_low", "ci_high", "n_seeds", "n_draws"),
        *("paper_llama", "paper_bloom"),
    ]
    assert len(table) == 9
    assert list(table["task"][:3]) == ["FilmReviews", "DishReviews", "CafeFacts"]
    assert table.loc[:, "value":"n_draws"].notna().all().all()
    assert set(table["n_seeds"]) == {1}
    assert dict(table.groupby("method")["n_draws"].first()) == {
        "original": 0,
        "deactivate-random": 2,
        "deactivate-task": 0,
    }
    assert table["value"].between(0, 100).all()


def test_every_table_and_figure_that_is_declared_is_there(results):
    page = (results / "report.html").read_text()
    for table in TABLES:
        frame = pd.read_parquet(results / "tables" / f"{table.name}.parquet")
        assert len(frame) == len(pd.read_csv(results / "tables" / f"{table.name}.csv")) > 0
        assert f'<h2 id="{table.name}">{table.name}: ' in page
        assert page.count(f'<img alt="{table.name}"') == table.figure
        for suffix in ("svg", "png"):
            assert (results / "figures" / f"{table.name}.{suffix}").exists() == table.figure
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "</a>\n<a " in page  # a blank between the links, so that the list can wrap


def test_artifacts_say_what_made_them(results):
    model = read_model_provenance(results / "models" / "multitask-seed1")
    assert model["parent"] == read_model_provenance(results / "models" / "base")["identity"]
    scores, made = read_frame(results / "scores" / "multitask-seed1" / "cafe_facts.parquet", "scores")
    data = read_provenance(results / "data" / "cafe_facts" / "attribution.parquet", "task data")
    assert made["model"] == model["identity"]
    assert made["data_hash"] == data["data_hash"]
    assert made["spec"]["attribution"]["aggregation"] == "sample"
    assert len(scores) == 64
    neurons, mask = read_mask(results / "masks" / "multitask-seed1" / "cafe_facts" / "global10.parquet")
    assert len(neurons) == 6
    assert mask["model"] == model["identity"]
    best = scores.nlargest(6, "score")[["layer", "neuron"]].sort_values(["layer", "neuron"]).to_numpy().tolist()
    read = pd.read_parquet(results / "masks" / "multitask-seed1" / "cafe_facts" / "global10.parquet")
    assert read[["layer", "neuron"]].sort_values(["layer", "neuron"]).to_numpy().tolist() == best
    random, _ = read_mask(results / "masks" / "multitask-seed1" / "random" / "random10-draw1.parquet")
    assert len(random) == 6


def test_logs_and_statistics_of_every_step(results):
    stats = [json.loads(path.read_text()) for path in (results / "logs").rglob("*.stats.json")]
    assert len(stats) == len(list((results / "logs").rglob("*.log")))
    assert all(s["wall_seconds"] > 0 and s["cpu_seconds"] > 0 and s["peak_memory_mib"] > 10 for s in stats)
    assert "multi-task training" in (results / "logs" / "multitask-seed1.log").read_text()


def run_step(project: Path, spec: dict, files: dict, **environment: str) -> subprocess.CompletedProcess:
    """A step as a rule runs it, in a process of its own."""
    command = [sys.executable, str(project / "workflow" / "run_step.py"), json.dumps(spec), json.dumps(files)]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, env={**os.environ, **environment})


def deactivation_of_the_base_model(results: Path, out: str) -> tuple[dict, dict]:
    """A job that gets the base model in place of the one whose neurons are to be switched off."""
    folder = results / "masks" / "multitask-seed1"
    masks = [str(folder / task / "global10.parquet") for task in TASKS]
    masks += [str(folder / "random" / f"random10-draw{draw}.parquet") for draw in (0, 1)]
    spec = read_provenance(results / "predictions" / "multitask-seed1" / "cafe_facts.parquet", "predictions")["spec"]
    files = {
        "model": str(results / "models" / "base"),
        "data": str(results / "data" / "cafe_facts" / "test.parquet"),
        "masks": masks,
        "means": [],
        "predictions": out,
    }
    return spec, files


def test_another_model_is_refused(results, project):
    result = run_step(project, *deactivation_of_the_base_model(results, "out.parquet"), TASKNEURONS_WARM="off")
    assert result.returncode == 1
    assert "is not the file that this job needs (model of deactivation.evaluate): it is model (" in result.stderr
    assert "with `-R " in result.stderr
    assert "Traceback" not in result.stderr
    assert not (project / "out.parquet").exists()


def test_a_step_finds_the_library_without_pythonpath(results, project, tmp_path):
    """As in a conda environment, for which Snakemake takes PYTHONPATH away, and from any folder."""
    spec = read_provenance(results / "masks" / "base" / "cafe_facts" / "global10.parquet", "mask")["spec"]
    scores = [str(results / "scores" / "base" / f"{task}.parquet") for task in TASKS]
    masks = [str(tmp_path / task / "global10.parquet") for task in TASKS]
    out = tmp_path / "cafe_facts" / "global10.parquet"
    files = {"scores": scores, "activations": [], "masks": masks}
    command = [sys.executable, "-P", str(project / "workflow" / "run_step.py"), json.dumps(spec), json.dumps(files)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"TASKNEURONS_WARM": "off"}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    made = results / "masks" / "base" / "cafe_facts" / "global10.parquet"
    assert read_mask(out)[0] == read_mask(made)[0]


def test_snakemakes_own_report(project):
    result = snakemake(project, "--report", "report.html")
    assert result.returncode == 0, result.stderr
    assert (project / "report.html").stat().st_size > 100_000


def test_wrong_input_stops_before_any_work(project):
    config = small_config()
    config["selection"]["k"] = 101
    (project / "wrong.json").write_text(json.dumps(config))
    command = [str(Path(sys.executable).parent / "snakemake"), "--configfile", "wrong.json"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert result.returncode == 1
    assert "config: selection: k: 101 is greater than the maximum of 100" in result.stdout + result.stderr
    assert "Building DAG" not in result.stderr


def test_the_docs_snippets_run(project):
    """The notebook page's code, block after block, on this run's files."""
    page = (ROOT / "docs" / "masks.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    code = (
        code.replace("results/tiny", "results/small")
        .replace("multitask-seed0", "multitask-seed1")
        .replace("size=50", "size=4")
    )
    environment = {**os.environ, "PYTHONPATH": str(project / "workflow")}
    result = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert "True" in result.stdout  # the mask is of the model that was loaded


def test_neuron_tuning_table(results):
    table = pd.read_csv(results / "tables" / "neuron_tuning.csv")
    others = ("train-random", "train-task", "train-contrastive", "train-other-family", "train-without-universal")
    assert dict(table.groupby("method")["n_seeds"].first()) == {**dict.fromkeys(others, 1), "zero-shot": 0}
    assert len(table) == 3 + 3 * 2 * len(others) and table["value"].between(0, 100).all()
    rates = pd.read_csv(results / "tables" / "learning_rates.csv")
    chosen = rates[rates["chosen"]].groupby("kind")["learning_rate"].first()
    tuned = table[table["rate"] == "tuned"].groupby("method")["learning_rate"].first()
    assert tuned["train-task"] == chosen["own"] and tuned["train-random"] == chosen["random"]
    assert set(table.loc[table["rate"] == "common", "learning_rate"]) == {6e-4}
    budget = pd.read_csv(results / "tables" / "tuning_budget.csv")
    assert set(budget.loc[budget["curve"] == "k", "k"]) == {3, 10}
    assert budget["value"].notna().all()
    zero_shot = pd.read_csv(results / "tables" / "zero_shot.csv")
    assert list(table["value"][:3]) == list(zero_shot["value"])
    crossed = pd.read_csv(results / "tables" / "cross_task_tuning.csv")
    assert dict(crossed["reading"].value_counts()) == {"own-data": 9, "tested-data": 9}


TABLE = '''"""How many neurons each task has."""

from pathlib import Path
from typing import Any

from taskneurons.neurons.mask_file import read_mask
from taskneurons.tables.common import TableSettings


def rows(settings: TableSettings, *, masks: list[Path]) -> list[dict[str, Any]]:
    """One row a task."""
    sets = [read_mask(path) for path in masks]
    return [{"task": settings.tasks[mask["set"]]["name"], "value": len(neurons)} for neurons, mask in sets]
'''
FIGURE = '''"""Bars of how many neurons each task has."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the table."""
    figure, axes = plt.subplots()
    axes.bar(table["task"], table["value"])
    return figure
'''
DECLARATION = """
TABLES.append(Table("set_sizes", "how many neurons a task has", inputs=("masks",), fields=("name",), figure=True))
"""
RULE = '''"""The neurons with the smallest scores."""

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True


def select(compared: Comparison, k: float) -> NeuronSet:
    """The k % with the smallest scores of the task."""
    return compared.top(-compared.values[compared.own], k)
'''


@pytest.fixture
def another_project(project, tmp_path) -> Path:
    """A copy of the project and its run, to be added to."""
    shutil.copytree(project, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def finished_rules(result: subprocess.CompletedProcess) -> set[str]:
    assert result.returncode == 0, result.stderr[-3000:]
    return set(re.findall(r"^(?:local)?rule (\w+):", result.stderr, re.MULTILINE))


def test_a_table_with_a_figure_is_two_modules_a_caption_and_a_declaration(another_project):
    library = another_project / "workflow" / "taskneurons"
    (library / "tables" / "set_sizes.py").write_text(TABLE)
    (library / "figures" / "set_sizes.py").write_text(FIGURE)
    (another_project / "workflow" / "report" / "set_sizes.rst").write_text("How many neurons each task has.\n")
    contents = library / "report" / "contents.py"
    contents.write_text(contents.read_text() + DECLARATION)
    assert finished_rules(snakemake(another_project)) == {"table_set_sizes", "figure_set_sizes", "report", "all"}
    results = another_project / "results" / "small"
    assert list(pd.read_csv(results / "tables" / "set_sizes.csv")["value"]) == [6, 6, 6]
    assert "How many neurons each task has." in (results / "report.html").read_text()


def test_a_selection_rule_is_one_file(another_project):
    (another_project / "workflow" / "taskneurons" / "selection" / "rules" / "smallest.py").write_text(RULE)
    config = small_config()
    config["damage"]["rules"]["smallest"] = [10]
    (another_project / "small.json").write_text(json.dumps(config))
    ran = finished_rules(snakemake(another_project))
    assert ran == {"select_smallest", "damage", "table_selection_damage", "figure_selection_damage", "report", "all"}
    results = another_project / "results" / "small"
    mask, _ = read_mask(results / "masks" / "multitask-seed1" / "cafe_facts" / "smallest10.parquet")
    scores = pd.read_parquet(results / "scores" / "multitask-seed1" / "cafe_facts.parquet")["score"]
    assert set(mask.selected.nonzero()[0]) == set(scores.nsmallest(6).index)
    assert "smallest" in set(pd.read_csv(results / "tables" / "selection_damage.csv")["rule"])


def test_a_kill_right_after_a_change_of_the_config(project):
    """Like one of the kills of `make reliability`: the change is taken back, and every byte is what it was.

    Nothing asks for the deltas and rates that the killed jobs had removed: what was made of them is still there.
    """
    before = bytes_of(project)
    delta = project / "results/small/deltas/cafe_facts-proportions-seed0/own100-tuned.safetensors"
    start = time.time()
    changed = merged(small_config(), {"neuron_tuning": {"training": {"weight_decay": 0.1}}})
    (project / "small.json").write_text(json.dumps(changed))
    # One table is asked for, whose jobs are few.
    targets = ["--", "table_single_task_proportion"]
    with subprocess.Popen([*command("small.json"), *targets], cwd=project, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (delta.exists() and delta.stat().st_mtime > start):
            time.sleep(0.1)
        process.kill()
    (project / "small.json").write_text(json.dumps(small_config()))
    assert bytes_of(project) != before
    result = snakemake(project)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "made with other settings or code" in result.stderr
    found = bytes_of(project)
    assert found.items() <= before.items()
    assert {path.split("/")[2] for path in set(before) - set(found)} <= {"deltas", "training", "rates"}
    missing = [path for path in before if path not in found]
    assert not missing or snakemake(project, "--cores", "2", *missing).returncode == 0  # targets behind an option
    assert bytes_of(project) == before


@pytest.fixture
def warm_jobs(tmp_path, monkeypatch):
    """Jobs that are tried alone are forks of a warm process, as in a run."""
    monkeypatch.setenv("TASKNEURONS_WARM", str(tmp_path / "warm"))
    monkeypatch.setenv("TASKNEURONS_OWNER", owner.named(tmp_path / ".jobs"))


def test_a_sample_of_corruptions(project, tmp_path, warm_jobs):
    """Of those of `make reliability`: each refused in one message, or harmless."""
    finished = Finished(project, project)
    chosen = random.Random(0).sample([case for case in cases(finished, 300, 0) if not case["plain"]], 8)
    found = [attempt(case, tmp_path, finished) for case in chosen]
    assert {one["outcome"] for one in found} <= {"refused clearly", "harmless"}, found
    assert sum(one["outcome"] == "refused clearly" for one in found) > 4


def test_a_damaged_file_is_told_and_then_made_anew(project, results):
    """Rows edited under the old words are found by the job that reads them; the same command then mends it."""
    before = bytes_of(project)
    table = pq.read_table(results / "tables" / "jaccard.parquet")
    column = table.column_names.index("value")
    edited = pa.array([value.as_py() + 1 for value in table["value"]])
    pq.write_table(table.set_column(column, table.schema.field(column), edited), results / "tables" / "jaccard.parquet")
    weights = results / "models" / "multitask-seed1" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes((results / "models" / "base" / "model.safetensors").read_bytes())
    assert len(weights.read_bytes()) == len(whole)
    planned = snakemake(project, "-n")
    assert re.search(r"multitask +1$", planned.stdout + planned.stderr, re.MULTILINE)
    weights.write_bytes(whole)
    first = snakemake(project)
    assert first.returncode == 1
    message = r"jaccard\.parquet is damaged or was edited.* `-R results/small/tables/jaccard\.parquet` makes it anew"
    assert re.search(message, first.stderr)
    second = snakemake(project)
    assert second.returncode == 0, second.stderr[-3000:]
    assert bytes_of(project) == before
