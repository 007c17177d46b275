"""The project's own files agree with each other and hold nothing of one machine."""

import re
import subprocess

import yaml

from conftest import ROOT
from taskneurons.data.suite.generator import SUITE
from taskneurons.report.contents import TABLES

TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()


def test_the_conda_file_has_the_constraints_pins():
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "envs/constraints.txt").read_text(), re.MULTILINE))
    conda = yaml.safe_load((ROOT / "envs/taskneurons.yaml").read_text())
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    named = dict(line.split("==") for line in pip)
    assert named == {name: pins[name] for name in named}
    project = (ROOT / "pyproject.toml").read_text()
    needed = re.findall(r'^  "([\w-]+)', project[: project.index("[project.optional")], re.MULTILINE)
    assert {name.lower().replace("-", "_") for name in needed} == {name.lower().replace("-", "_") for name in named}


def test_no_pin_has_a_local_version():
    assert "+" not in (ROOT / "envs/constraints.txt").read_text().split("\n", 1)[1]


def test_every_suite_task_of_the_pretraining_text_is_in_the_default_config():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    suite = {name for name, task in SUITE.items() if task.plain}
    assert {task["source"]["suite"] for task in config["tasks"].values()} == suite


def test_every_table_and_figure_is_a_target_that_the_readme_lists():
    readme = (ROOT / "README.md").read_text()
    declared = {target: table.shows for table in TABLES for target in table.targets}
    rows = re.findall(r"^\| (`(?:table|figure)_.*?) \| (.*) \|$", readme, re.MULTILINE)
    listed = {name.strip("` "): shows for names, shows in rows for name in names.split(",")}
    assert listed == declared
    for table in TABLES:
        assert (ROOT / "workflow" / "report" / f"{table.name}.rst").read_text().strip()


def test_no_path_of_one_machine_is_tracked():
    pattern = re.compile(r"(?<![\w.])/(work|root|home|tmp)/\w")
    for name in TRACKED:
        path = ROOT / name
        if path.suffix in (".py", ".smk", ".yaml", ".md", ".json", ".toml", ".csv", ".txt") and path.exists():
            assert not pattern.search(path.read_text()), name


def test_no_tensor_becomes_float64_on_its_device():
    """Some have none (MPS): values go to the host first."""
    for path in (ROOT / "workflow" / "taskneurons").rglob("*.py"):
        assert not re.search(r"double\(\)\.cpu\(\)|float64\)\.cpu\(\)", path.read_text()), path
