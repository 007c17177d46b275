"""The warm process that forks for jobs: what a job gets from it, what ends it, and what happens without it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT
from taskneurons.core import owner

RUNNER = ROOT / "workflow" / "run_step.py"
STEP = '''"""A step for tests."""
import os, sys, time
from pathlib import Path
from taskneurons.config.settings import StepSettings


class Settings(StepSettings):
    seconds: float = 0
    fails: bool = False


def main(settings: Settings, *, out: Path) -> None:
    print("said by the step", flush=True)
    (out.parent / "process").write_text(f"{os.getpid()} {os.getppid()}")
    time.sleep(settings.seconds)
    if settings.fails:
        raise RuntimeError("told to fail")
    out.write_text(f"{os.environ.get('MINE')} {Path.cwd()} {'torch' in sys.modules}")
'''


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """The variables of a warm process whose owner is a process that sleeps."""
    folder = tmp_path_factory.mktemp("w")
    with subprocess.Popen(["sleep", "1000"]) as sleeping:
        yield variables(sleeping, folder)
        sleeping.kill()


def variables(process: subprocess.Popen, folder: Path) -> dict[str, str]:
    return {"TASKNEURONS_WARM": f"{folder}/s", owner.VARIABLE: f"{owner.identity(process.pid)}@{folder}/.jobs"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A library with one step more, and the runner beside it."""
    project = tmp_path_factory.mktemp("project")
    root = project / "workflow"
    root.mkdir()
    shutil.copy(RUNNER, root)
    for name in ("core", "config"):
        shutil.copytree(ROOT / "workflow" / "taskneurons" / name, root / "taskneurons" / name)
    (root / "taskneurons" / "__init__.py").touch()
    (root / "taskneurons" / "trial.py").write_text(STEP)
    return project


@pytest.fixture
def library(project) -> Path:
    """The project without what an earlier job has left there."""
    for name in ("out", "process"):
        (project / name).unlink(missing_ok=True)
    return project


def start(library: Path, warm: dict[str, str], **settings) -> subprocess.Popen:
    spec = json.dumps({"step": "trial", **settings})
    files = json.dumps({"out": str(library / "out")})
    command = [sys.executable, str(library / "workflow" / "run_step.py"), spec, files]
    environment = {**os.environ, **warm, "MINE": "yes"}
    return subprocess.Popen(
        command, cwd=library, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def process_of(library: Path) -> tuple[int, int]:
    """The process that runs the step, and its parent, once they are known."""
    file, end = library / "process", time.monotonic() + 60
    while not file.is_file() or not file.read_text():
        assert time.monotonic() < end, "the step did not start"
        time.sleep(0.02)
    one, parent = file.read_text().split()
    return int(one), int(parent)


def gone(process: int) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_job_is_a_fork_with_its_own_environment_folder_and_streams(library, warm):
    job = start(library, warm)
    out, _ = job.communicate()
    assert job.returncode == 0
    assert "said by the step" in out
    assert (library / "out").read_text() == f"yes {library} True"  # torch is there, which the step does not import
    process, parent = process_of(library)
    assert process != job.pid and parent != os.getpid()


@pytest.mark.parametrize("file", ["trial.py", "config/settings.py", "core/step.py"])
def test_an_edit_of_the_library_counts_for_the_next_job(file, library, warm):
    """Also of what the warm process has imported itself."""
    start(library, warm).communicate()
    edited = library / "workflow" / "taskneurons" / file
    before = edited.read_text()
    edited.write_text(f"{before}\nprint('edited: {file}', flush=True)\n")
    try:
        assert f"edited: {file}" in start(library, warm).communicate()[0]
    finally:
        edited.write_text(before)


def test_a_failing_job_has_its_status_and_its_message(library, warm):
    job = start(library, warm, fails=True)
    _, errors = job.communicate()
    assert job.returncode == 1
    assert "told to fail" in errors


def test_a_killed_job_kills_its_fork(library, warm):
    job = start(library, warm, seconds=60)
    process, _ = process_of(library)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert gone(process)
    assert not (library / "out").exists()


def test_a_killed_fork_is_a_killed_job(library, warm):
    job = start(library, warm, seconds=60)
    os.kill(process_of(library)[0], signal.SIGKILL)
    job.communicate()
    assert job.returncode == 137


def test_it_and_its_jobs_are_gone_with_their_owner(library, tmp_path):
    """Also where nobody has taken the owner away yet: a zombie."""
    sleeping = subprocess.Popen(["sleep", "1000"])
    job = start(library, variables(sleeping, tmp_path), seconds=60)
    process, server = process_of(library)
    sleeping.kill()
    assert gone(process) and gone(server)
    job.communicate()
    assert job.returncode == 137
    assert not (library / "out").exists()
    sleeping.wait()


def test_a_job_whose_owner_is_gone_does_not_start(library, tmp_path):
    sleeping = subprocess.Popen(["sleep", "1000"])
    own = variables(sleeping, tmp_path) | {"TASKNEURONS_WARM": "off"}
    sleeping.kill()
    sleeping.wait()
    _, errors = (job := start(library, own)).communicate()
    assert job.returncode == 1
    assert "the snakemake that started this job is gone" in errors
    assert not (library / "process").exists()


@pytest.mark.parametrize("variable", ["off", "/nowhere/s"])
def test_without_it_a_job_runs_by_itself(library, warm, variable):
    job = start(library, warm | {"TASKNEURONS_WARM": variable})
    job.communicate()
    assert job.returncode == 0
    assert process_of(library)[0] == job.pid
    assert (library / "out").read_text().endswith("False")
