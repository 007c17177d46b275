"""Who works on a run: a killed Snakemake leaves neither a lock nor a job, and two do not meet on the same files."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from reliability.small import project_copy
from taskneurons.core import disk, lock, owner
from taskneurons.core.errors import UserError

STEP = '''"""A step for tests: it says which process it is, and then works until it is told to end."""
import os, time
from pathlib import Path
from taskneurons.config.settings import StepSettings


class Settings(StepSettings):
    text: str


def main(settings: Settings, *, out: Path) -> None:
    beside = out.parent / f"{out.name}.{os.getpid()}.started"
    beside.touch()
    while not Path("go").exists():
        time.sleep(0.02)
    out.write_text(settings.text)
'''
RULE = """
rule slow:
    output:
        out="<results>/out",
    log:
        "<results>/logs/slow.log",
    params:
        spec=spec("trial", text="x" * 300_000),
        files=files(),
    shell:
        STEP


include: "workflow/rules/chain.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/ending.smk"


"""


@pytest.fixture
def project(tmp_path) -> Path:
    """The project with one rule in place of all, under two names."""
    project_copy(tmp_path)
    (tmp_path / "workflow" / "taskneurons" / "trial.py").write_text(STEP)
    snakefile = (tmp_path / "Snakefile").read_text()
    snakefile = re.sub(r'include: "workflow/rules/data.smk".*(?=rule all)', RULE, snakefile, flags=re.DOTALL)
    (tmp_path / "Snakefile").write_text(snakefile.replace("report.html", "out"))
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for run in ("one", "two"):
        (tmp_path / f"{run}.json").write_text(json.dumps(config | {"run": run}))
    return tmp_path


@pytest.fixture
def start(project):
    """Start a Snakemake on a run; what still works at the end of the test is killed."""
    started = []

    def start(run: str = "one", *options: str, warm: str = "off") -> subprocess.Popen:
        environment = {key: value for key, value in os.environ.items() if key != owner.VARIABLE}
        process = subprocess.Popen(
            [Path(sys.executable).parent / "snakemake", "--configfile", f"{run}.json", *options],
            cwd=project,
            env=environment | {"TASKNEURONS_WARM": warm},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def job_of(project: Path, run: str = "one", but: tuple[int, ...] = ()) -> int:
    """The process of a run's job, once it works."""
    for _ in range(1200):
        for path in (project / "results" / run).glob("out.*.started"):
            if (process := int(path.name.split(".")[1])) not in but:
                return process
        time.sleep(0.05)
    raise AssertionError("the job did not start")


def ended(process: int, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if owner.identity(process) is None:
            return True
        time.sleep(0.02)
    return False


def end(project: Path, process: subprocess.Popen) -> str:
    """Let a run's job come to its end; the output of its Snakemake."""
    (project / "go").touch()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


@pytest.mark.parametrize("warm", ["off", "on"])
def test_after_a_kill_no_job_works_and_the_plain_command_goes_on(project, start, warm):
    """As after a power cut too: the job that began is made again. Its spec is longer than a command's word may be."""
    killed = start(warm=warm)
    job = job_of(project)
    killed.send_signal(signal.SIGKILL)
    again = start()
    assert ended(job)
    job_of(project, but=(job,))
    assert not (project / "results" / "one" / "out").exists()
    end(project, again)
    assert (project / "results" / "one" / "out").read_text() == "x" * 300_000


@pytest.mark.parametrize(
    ("number", "to"), [(signal.SIGTERM, os.kill), (signal.SIGINT, os.kill), (signal.SIGINT, os.killpg)]
)
def test_a_signal_ends_the_jobs_too(project, start, number, to):
    """To Snakemake alone, or, as Ctrl-C in a terminal, to all its processes."""
    process = start()
    job = job_of(project)
    to(process.pid, number)
    assert ended(job)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in output


def test_a_second_snakemake_is_told_of_the_first_and_another_run_works_beside_it(project, start):
    first = start()
    job_of(project)
    refused, dry, other = start(), start("one", "-n"), start("two")
    second, _ = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert f"another snakemake works on the run 'one' (process {first.pid} on " in second
    assert "Traceback" not in second
    assert "This was a dry-run" in dry.communicate(timeout=30)[0]
    job_of(project, "two")
    other.send_signal(signal.SIGINT)
    other.communicate(timeout=30)
    still, _ = start().communicate(timeout=30)  # the other one has not taken the lock away
    assert "another snakemake works on the run 'one'" in still
    end(project, first)


def test_locks_of_an_earlier_version_do_not_count(project, start):
    locks = project / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/one/out\n")
    (project / "go").touch()
    end(project, start("one", "--workflow-profile", "none", "--cores", "1"))
    assert not list(locks.glob("*"))


def test_a_folder_that_cannot_be_written_is_told(project, start):
    (project / ".snakemake").write_text("no folder")
    output, _ = (process := start()).communicate(timeout=30)
    assert process.returncode == 1
    assert ".snakemake" in output and "Traceback" not in output


def hold(run: Path):
    run.mkdir(exist_ok=True)
    return lock.working_on(run, lambda warning: None)


def test_a_run_waits_for_the_jobs_of_an_earlier_one(tmp_path, monkeypatch):
    """A process that shares the jobs' lock ends after a while, or does not."""
    run = tmp_path / "one"
    run.mkdir()
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_SH); print(); time.sleep(1)"
    command = [sys.executable, "-c", code, str(lock.jobs_file(run))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as job:
        job.stdout.readline()
        monkeypatch.setattr(lock, "PATIENCE", 0.1)
        with (
            pytest.raises(UserError, match="jobs of an earlier snakemake are still at work on the run 'one'"),
            hold(run),
        ):
            pass
        monkeypatch.setattr(lock, "PATIENCE", 30)
        with hold(run):
            assert job.wait(1) == 0


def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch):
    def without(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    told = []
    monkeypatch.setattr(lock.fcntl, "flock", without)
    with lock.working_on(tmp_path, told.append):
        assert "this file system has no locks" in told[0]


def test_a_process_of_the_same_id_is_another_one():
    value = owner.named(Path("x"))
    assert owner.is_alive(value)
    assert not owner.is_alive(re.sub(r":\d+@", ":1@", value))


def test_a_folder_and_a_disk_are_checked_before_a_run(tmp_path, monkeypatch):
    disk.check_writable(tmp_path / "new" / "folder", tmp_path / "absent")
    disk.check_room(tmp_path)
    assert not (tmp_path / "absent").exists()
    monkeypatch.setattr(disk.os, "access", lambda path, mode: Path(path).name != "new")
    with pytest.raises(UserError, match=r"a disk that can only be read .*this folder cannot be written"):
        disk.check_writable(tmp_path / "another", tmp_path / "new")
    monkeypatch.setattr(disk, "LEAST", 2**62)
    with pytest.raises(UserError, match=r"the disk is full: \d+\.\d MiB are free"):
        disk.check_room(tmp_path)
