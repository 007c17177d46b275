"""`python -m reliability.slurm`: the profile for SLURM, tried on a private cluster (`slurm_cluster.py`).

A small config goes through `--profile profiles/slurm` from its data to a table; then one training is disturbed in
every way in which clusters disturb jobs. All have to end in the bytes of an undisturbed local run, and SLURM's own
records have to say what ran where.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from reliability.kills import merged
from reliability.slurm_cluster import Cluster, cluster, lacking
from reliability.small import SNAKEMAKE, bytes_of, project_copy, run, small_config, tail

TABLE = "table_deactivation"
MODEL = "results/small/models/multitask-seed1"
ON_GPU = "deactivation"  # the rule whose jobs ask for a GPU
# A training that lasts long enough to be disturbed, and keeps its state every second.
LONG = {"training": {"epochs": 150}, "compute": {"checkpoint_seconds": 1}}
# The profile's waits are those of a busy site.
QUICK = ("--slurm-init-seconds-before-status-checks", "2", "--max-status-checks-per-second", "1")
PATIENCE = 240  # seconds for anything to happen


@dataclass
class Trial:
    """A project folder on a cluster.

    Attributes:
        folder: the project.
        on: the cluster.
    """

    folder: Path
    on: Cluster

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Snakemake with the profile, in a session of its own."""
        command = [SNAKEMAKE, "--profile", "profiles/slurm", "--configfile", "small.json", *QUICK, *options]
        log = (self.folder / "snakemake.log").open("a")
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.on.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *options: str) -> None:
        """Snakemake to its good end."""
        process = self.start(*options)
        ended(process, self.folder / "snakemake.log")

    def steps(self) -> list[psutil.Process]:
        """The processes of this folder's steps."""
        found = psutil.process_iter(["cmdline", "cwd"])
        own = (one for one in found if one.info["cwd"] == str(self.folder))
        return [one for one in own if any("run_step.py" in word for word in one.info["cmdline"] or [])]

    def training_job(self) -> str:
        """The id of the cluster's job that trains the model of this folder, once it has done some steps."""

        def found() -> str | None:
            listed = self.on.run("squeue", "--noheader", "--states", "R", "--format", "%i %Z").splitlines()
            ids = [line.split()[0] for line in listed if line.split()[1:] == [str(self.folder)]]
            kept = list((self.folder / "results/small/checkpoints").glob("multitask*"))
            return next((one for one in ids if kept), None)

        return wait_for(found, "a job that trains")

    def records(self) -> list[dict[str, str]]:
        """The jobs of this folder, in SLURM's records."""
        return [one for one in self.on.jobs() if one["WorkDir"] == str(self.folder)]


def wait_for(found: Callable[[], str | None], what: str) -> str:
    """What is found, once it is.

    Raises:
        TimeoutError: it is not.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if (value := found()) is not None:
            return value
        time.sleep(0.5)
    raise TimeoutError(f"{what} was waited for, in vain")


def ended(process: subprocess.Popen[str], log: Path) -> None:
    """Wait for a good end.

    Raises:
        RuntimeError: it ends badly.
    """
    if process.wait(PATIENCE * 2):
        raise RuntimeError(f"snakemake ended with {process.returncode}:\n{tail(log.read_text(), 30)}")


def project(folder: Path, config: dict) -> Path:
    """A copy of the project with a config."""
    folder.mkdir(parents=True)
    project_copy(folder)
    (folder / "small.json").write_text(json.dumps(config))
    return folder


def changed(finished: Path, folder: Path, config: dict) -> Path:
    """A copy of a finished project, with its results and another config."""
    shutil.copytree(finished, folder, symlinks=True)
    (folder / "small.json").write_text(json.dumps(config))
    return folder


def local(folder: Path, target: str) -> None:
    """An undisturbed local run.

    Raises:
        RuntimeError: it fails.
    """
    found = run(folder, "small.json", "--", target)
    if found.returncode:
        raise RuntimeError(f"the undisturbed run failed:\n{tail(found.stderr, 30)}")


def requested(record: dict[str, str]) -> float:
    """The memory that a job asked for, in MB."""
    size, unit = re.search(r"mem=([0-9.]+)([MG])", record["TRES"]).groups()  # type: ignore[union-attr]
    return float(size) * (1024 if unit == "G" else 1)


def end_to_end(trial: Trial) -> str:
    """From data to a table; jobs that ask for a GPU are on the node that has one."""
    trial.finish("--set-resources", f"{ON_GPU}:gpu=1", "--", TABLE)
    records = trial.records()
    assert records and all(one["JobState"] == "COMPLETED" for one in records), records
    with_gpu = [one for one in records if "gpu" in one.get("TresPerJob", "")]
    assert len(with_gpu) == 2, with_gpu  # one for each task
    assert {one["NodeList"] for one in with_gpu} == {"n2"}
    log = (trial.folder / "snakemake.log").read_text()
    started = re.findall(r"^(local)?rule \w+:\n(?:    .*\n)*?    resources: .*submitting_node=(\d)", log, re.MULTILINE)
    # Those that stay where Snakemake runs are counted, and no others.
    assert started and all(here == ("1" if stays else "0") for stays, here in started), started
    nodes = {one["NodeList"] for one in records}
    return f"{len(records)} jobs on {' and '.join(sorted(nodes))}, those with a GPU ({len(with_gpu)}) on n2"


def killed_process(trial: Trial) -> str:
    """A job's process is killed, as by a node that has no memory left: it is tried again with more."""
    process = trial.start("--", MODEL)
    trial.training_job()
    for one in trial.steps():
        one.kill()
    ended(process, trial.folder / "snakemake.log")
    first, second = sorted(trial.records(), key=lambda one: int(one["JobId"]))
    assert first["JobState"] == "FAILED" and second["JobState"] == "COMPLETED"
    assert requested(second) > 1.4 * requested(first)
    return f"tried again with {requested(second):.0f} MB after {requested(first):.0f} MB"


def cancelled(trial: Trial) -> str:
    """scancel of a job: it is tried again, and goes on within its training."""
    process = trial.start("--", MODEL)
    trial.on.run("scancel", trial.training_job())
    ended(process, trial.folder / "snakemake.log")
    states = [one["JobState"] for one in trial.records()]
    assert states == ["CANCELLED", "COMPLETED"], states
    return went_on(trial)


def out_of_time(trial: Trial) -> str:
    """A job reaches its time limit within its training, which is frozen until then."""
    process = trial.start("--set-resources", "multitask:runtime=1", "--", MODEL)
    trial.training_job()
    for one in trial.steps():
        one.suspend()
    ended(process, trial.folder / "snakemake.log")
    states = [one["JobState"] for one in trial.records()]
    assert states == ["TIMEOUT", "COMPLETED"], states
    return went_on(trial)


def dead_node(trial: Trial) -> str:
    """The node of a job dies."""
    process = trial.start("--", MODEL)
    job = trial.training_job()
    node = trial.on.run("squeue", "--noheader", "--job", job, "--format", "%N").strip()
    trial.on.kill_node(node)
    ended(process, trial.folder / "snakemake.log")
    first, second = sorted(trial.records(), key=lambda one: int(one["JobId"]))
    assert first["JobState"] == "NODE_FAIL" and second["JobState"] == "COMPLETED", (first, second)
    assert second["NodeList"] != node
    trial.on.start_node(node)
    trial.on.wait_for({node: "idle"})
    return f"{node} died, {second['NodeList']} took over; {went_on(trial)}"


def killed_snakemake(trial: Trial) -> str:
    """kill -9 of Snakemake: its job goes on alone, and the same command, given again, ends well beside it."""
    process = trial.start("--", MODEL)
    job = int(trial.training_job())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    trial.finish("--", MODEL)
    wait_for(lambda: "" if not left(trial) else None, "the end of the job that was left")
    states = {one["JobId"]: one["JobState"] for one in trial.records()}
    return f"job {job} that was left: {states[str(job)].lower()}; {len(states)} jobs in all"


def left(trial: Trial) -> list[str]:
    """The jobs of a folder that are still in the queue."""
    listed = trial.on.run("squeue", "--noheader", "--format", "%i %Z").splitlines()
    return [line for line in listed if line.split()[1] == str(trial.folder)]


def went_on(trial: Trial) -> str:
    """What the training's log says of where it went on."""
    log = (trial.folder / "results/small/logs/multitask-seed1.log").read_text()
    found = re.search(r"going on after (\d+) of (\d+) steps", log)
    assert found, log
    return f"went on after {found[1]} of {found[2]} steps"


TOGETHER = (out_of_time, killed_process, cancelled, killed_snakemake)  # two at a time
ALONE = (dead_node,)  # which takes others' jobs with it


def overhead(trial: Trial, seconds: float) -> str:
    """The time of a run on the cluster beside its jobs' own."""
    stats = [json.loads(file.read_text()) for file in trial.folder.rglob("logs/**/*.stats.json")]
    own = sum(one["wall_seconds"] for one in stats)
    return f"{seconds:.0f} s by the clock; the steps' own times add up to {own:.0f} s"


def try_all(folder: Path) -> list[tuple[str, str]]:
    """What was tried, and what came of it.

    Raises:
        AssertionError: SLURM's records are not as they have to be, or bytes differ from those of a local run.
    """
    config = small_config()
    del config["tasks"]["dish_reviews"]  # every job on a cluster starts Snakemake and Python anew: few of them
    plain = project(folder / "local", config)
    local(plain, TABLE)
    long = changed(plain, folder / "long", merged(config, LONG))
    local(long, MODEL)
    with cluster() as on:
        whole = Trial(project(folder / "whole", config), on)
        start = time.monotonic()
        said = [("end to end", end_to_end(whole))]
        said.append(("overhead", overhead(whole, time.monotonic() - start)))
        same(whole.folder, plain)

        def disturbed(disturb: Callable[[Trial], str]) -> tuple[str, str]:
            trial = Trial(changed(plain, folder / disturb.__name__, merged(config, LONG)), on)
            came = disturb(trial)
            same(trial.folder, long)
            return disturb.__name__.replace("_", " "), came

        with ThreadPoolExecutor(2) as pool:
            said += pool.map(disturbed, TOGETHER)
        return said + [disturbed(one) for one in ALONE]


def same(folder: Path, expected: Path) -> None:
    """The same files with the same bytes in two projects.

    Raises:
        AssertionError: they differ.
    """
    found, wanted = bytes_of(folder), bytes_of(expected)
    differing = {name for name in {*found, *wanted} if found.get(name) != wanted.get(name)}
    assert not differing, f"{folder.name}: {sorted(differing)[:5]} differ from a local run's"


def main() -> None:
    """Try all, and print what was tried."""
    if reason := lacking():
        print(f"skipped: {reason}")
        return
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = try_all(Path(folder))
    width = max(len(name) for name, _ in found)
    print("\nTried and survived, each to the bytes of a local run:")
    print("\n".join(f"  {name:{width}}  {came}" for name, came in found))
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
