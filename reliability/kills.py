"""Kills: the workflow, or one of its jobs, dies at some moment, also right after a change of the config; then the plain
command is given until it ends well, and every output has to have the bytes of a run that nobody disturbed."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from reliability.small import bytes_of, command, outcome, project_copy, run, small_config, tail

TRIES = 3  # plain commands after a kill: a job that was killed itself fails the first

# What a run is changed to before it is killed: None is a run from nothing.
CHANGES: dict[str, dict[str, Any] | None] = {
    "from nothing": None,
    "training.epochs": {"training": {"epochs": 2}},
    "attribution.aggregation": {"attribution": {"aggregation": "token"}},
    "neuron_tuning.training.weight_decay": {"neuron_tuning": {"training": {"weight_decay": 0.1}}},
    "seed": {"seed": 3},
}
WAYS = ("kill -9 of snakemake", "SIGTERM", "Ctrl-C", "kill -9 of a job", "kill -9 of everything")


def merged(config: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A config with the keys of a change in it."""
    result = dict(config)
    for key, value in change.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) else value
    return result


def prepare(folder: Path) -> dict[str, dict[str, str]]:
    """Undisturbed runs of all configs; change → the bytes of its outputs. What is there already is taken as it is."""
    reference = folder / "reference"
    known = reference / "bytes.json"
    if known.is_file():
        return json.loads(known.read_text())
    shutil.rmtree(reference, ignore_errors=True)
    found = {}
    for name, change in CHANGES.items():
        project = reference / name
        project_copy(project)
        (project / "small.json").write_text(json.dumps(merged(small_config(), change or {})))
        result = run(project, "small.json")
        if result.returncode:
            raise RuntimeError(f"the undisturbed run of {name!r} failed: {tail(result.stderr, 30)}")
        found[name] = bytes_of(project)
    known.write_text(json.dumps(found))
    return found


def cases(number: int, seed: int) -> list[dict[str, Any]]:
    """What is killed how and when; the moment as a share of the seconds that an undisturbed run takes."""
    rng = random.Random(seed)
    names = list(CHANGES)
    return [
        {
            "name": f"kill {at}: {(way := WAYS[at % len(WAYS)])}, {(change := names[at // len(WAYS) % len(names)])}",
            "way": way,
            "change": change,
            "moment": rng.random(),
        }
        for at in range(number)
    ]


def attempt(case: dict[str, Any], folder: Path, reference: dict[str, dict[str, str]]) -> dict[str, str]:
    """One kill, and what came of it."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    if case["change"] == "from nothing":
        project_copy(project)
    else:
        shutil.copytree(folder / "reference" / "from nothing", project, symlinks=True)
    change = CHANGES[case["change"]]
    (project / "small.json").write_text(json.dumps(merged(small_config(), change or {})))
    began = kill_in(project, case, 4.0, 26.0 if change is None else 16.0)
    result, count = run(project, "small.json"), 1
    while result.returncode and count < TRIES:
        result, count = run(project, "small.json"), count + 1
    said = f"killed after {began:.0f} s; went on with {count} plain command{'s' if count > 1 else ''}"
    if result.returncode:
        clear = "Traceback" not in result.stderr
        return outcome(case, "refused clearly" if clear else "traceback", tail(result.stderr, 10))
    found, expected = bytes_of(project), reference[case["change"]]
    # What belongs to the former settings alone is left, as it would be in a run that nobody disturbed.
    wrong = sorted(path for path in expected if found.get(path) != expected[path])
    if wrong:
        return outcome(case, "silently wrong", f"{said}; other bytes in {len(wrong)} files, the first {wrong[0]}")
    return outcome(case, "harmless", said)


def kill_in(project: Path, case: dict[str, Any], earliest: float, latest: float) -> float:
    """Start the workflow and kill it, or one of its jobs, at the moment; the seconds after which that was.

    Args:
        case: its way, and its moment as a share of the time between
        earliest, latest: in seconds.
    """
    start = time.monotonic()
    log = (project / "killed.log").open("w")
    process = subprocess.Popen(
        command("small.json"), cwd=project, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    end = start + earliest + case["moment"] * (latest - earliest)
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    lasted = time.monotonic() - start
    if process.poll() is None:
        strike(process, project, case)
        process.wait(timeout=120)
    log.close()
    return lasted


def strike(process: subprocess.Popen[bytes], project: Path, case: dict[str, Any]) -> None:
    """Send the signal of a case."""
    way = case["way"]
    if way == "kill -9 of snakemake":
        process.kill()
    elif way == "SIGTERM":
        process.terminate()
    elif way == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    elif way == "kill -9 of a job":
        steps = processes_of(project)
        if steps:
            random.Random(case["moment"]).choice(steps).kill()
        else:
            process.kill()
    else:
        process.kill()
        for one in processes_of(project):
            one.kill()


def processes_of(project: Path) -> list[psutil.Process]:
    """The processes of a project's steps, the warm process and its forks among them."""
    runner = str(project / "workflow" / "run_step.py")
    found = []
    for one in psutil.process_iter(["cmdline", "pid"]):
        if runner in (one.info["cmdline"] or []):
            found.append(one)
    return sorted(found, key=lambda one: one.pid)


def one_core_and_two(folder: Path, reference: dict[str, dict[str, str]]) -> dict[str, str]:
    """A run with --cores 1 against one with --cores 2."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    project_copy(project)
    (project / "small.json").write_text(json.dumps(small_config()))
    case = {"name": "--cores 1 against --cores 2"}
    result = run(project, "small.json", "--cores", "1")
    if result.returncode:
        return outcome(case, "traceback" if "Traceback" in result.stderr else "refused clearly", tail(result.stderr))
    found, expected = bytes_of(project), reference["from nothing"]
    wrong = [path for path in expected if found.get(path) != expected[path]]
    return outcome(case, "silently wrong" if wrong else "harmless", f"{len(expected)} files, {len(wrong)} differ")
