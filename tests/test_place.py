"""The workflow runs from any folder, and what it makes does not depend on which."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import forked_snakemake
from conftest import ROOT
from reliability.small import jobs_in, project_copy
from taskneurons.checks.config import checked_config

FORKS = forked_snakemake.pool(1)
ODD = "-a $b 'c\" ; é # %s & ~"  # as file names may be


def embedded(*tasks: str) -> dict:
    """The embedded config with some of its tasks alone."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["tasks"], config["continual"] = {key: config["tasks"][key] for key in tasks}, None
    for section in ("rates", "budgets", "proportions"):
        config["neuron_tuning"][section]["tasks"] = "all"
    config["set_faithfulness"]["tasks"] = "all"
    config["groups"] = {"train": {"G": [tasks[0]]}, "test": {"G": [tasks[-1]]}}
    config["generalisation"]["overlap_ablation"]["pairs"] = "all"
    return config


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, with a config of two tasks beside it."""
    folder = tmp_path_factory.mktemp("places") / "the project"
    folder.mkdir()
    project_copy(folder)
    (folder.parent / "two.yaml").write_text(yaml.safe_dump(embedded("film_reviews", "cafe_facts")))
    return folder


def commands(project: Path, folder: Path, *options: str) -> set[str]:
    """Spec and files of all jobs of a run in a folder, with the project's files as they are from there."""
    config = str(project.parent / "two.yaml")
    options = ("--configfile", config, "--cores", "1", "--dry-run", "--printshellcmds", *options)
    status, output = FORKS.submit(forked_snakemake.snakemake, folder, *options).result()
    assert status == 0, output
    return {json.dumps(job) for job in jobs_in(output)}


@pytest.fixture(scope="module")
def at_home(project) -> set[str]:
    return commands(project, project)


@pytest.mark.parametrize("how", ["snakefile", "directory"])
def test_the_same_jobs_from_another_folder(how, project, at_home, tmp_path):
    """Their specs are the same; of their files the project's own ones are found from there."""
    if how == "snakefile":
        found = commands(project, tmp_path, "--snakefile", str(project / "Snakefile"))
    else:
        found = commands(project, project, "--directory", str(tmp_path))
    way = f"{os.path.relpath(project, tmp_path)}/workflow/"
    assert way not in "".join(at_home) and f"{way}report/report.html.j2" in "".join(found)
    assert len(found) > 50 and {line.replace(way, "workflow/") for line in found} == at_home


def test_a_presets_file_of_tasks_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preset = yaml.safe_load((ROOT / "workflow" / "presets" / "smollm2-135m.yaml").read_text())
    assert len(checked_config(preset, ROOT).tasks) == 12


def test_results_are_made_where_snakemake_runs(project, tmp_path):
    """Local data too are found from there, whatever their names."""
    rows = pd.DataFrame({"question": [f"question {number}" for number in range(20)], "answer": ["yes", "no"] * 10})
    (tmp_path / ODD).mkdir()
    for split in ("train", "validation", "test"):
        rows.assign(question=f"{split} " + rows["question"]).to_parquet(tmp_path / ODD / f"{ODD} {split}.parquet")
    config = embedded("film_reviews", "cafe_facts")
    source = {"path": ODD, "splits": {split: f"{ODD} {split}" for split in ("train", "validation", "test")}}
    config["tasks"]["own"] = {
        **{"family": "f", "source": {"local": source}, "prompt": "{question} $ :", "target": "answer", "name": ODD},
        "sizes": {"train": 10, "test": 3},
    }
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    targets = ("results/tiny/data/own/test.parquet", "results/tiny/data/pretraining.parquet")
    command = [str(Path(sys.executable).parent / "snakemake"), *targets, "--snakefile", str(project / "Snakefile")]
    result = subprocess.run(
        [*command, "--configfile", "odd.yaml", "--cores", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "TASKNEURONS_WARM": "off"},
    )
    assert result.returncode == 0, result.stderr[-5000:]
    assert pd.read_parquet(tmp_path / targets[0])["prompt"].str.startswith("test question ").all()
    assert (tmp_path / targets[1]).exists() and not (project / "results").exists()
