"""A full disk, a read-only folder, two runs at once: each tried with the actual commands on a small config."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from reliability.small import SNAKEMAKE, project_copy, small_config

# KiB left once a run has started, in the project's folder or for the results alone: full in the first steps, in
# trainings, in scores, in tables. The small config's results take 2.8 MB.
LEFT = [("all", 16), ("all", 1500), ("results", 0), ("results", 300), ("results", 1500)]
TMPFS = 24 * 1024  # KiB of the small disk: more than a run asks for at its start


def try_all(folder: Path) -> list[dict[str, str]]:
    """Try everything in a folder; each as name, outcome and the message that the user gets.

    The outcome is `refused clearly`, `harmless`, `traceback`, `silently wrong`, or `skipped`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = _project(folder / "whole")
    _finished(whole, "small")
    expected = _content(whole, "small")
    results = [_two_of_one_name(folder / "same", expected), _two_of_two_names(folder / "other", expected)]
    with _small_disk(folder / "probe") as mounted:
        if not mounted:
            reason = "mounting a small disk is not permitted here"
            return [*results, {"name": "full disk and read-only folder", "outcome": "skipped", "message": reason}]
    results += [_full_disk(folder / f"full-{which}-{left}", which, left, expected) for which, left in LEFT]
    results += [_nearly_full_at_the_start(folder / "nearly"), _read_only(folder / "read-only")]
    return results


def _project(folder: Path) -> Path:
    """A copy of the project with the small config under two names."""
    folder.mkdir(parents=True, exist_ok=True)
    project_copy(folder)
    for run in ("small", "other"):
        (folder / f"{run}.json").write_text(json.dumps(small_config() | {"run": run}))
    return folder


def _start(project: Path, run: str) -> subprocess.Popen[str]:
    command = [SNAKEMAKE, "--configfile", f"{run}.json"]
    return subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finished(project: Path, run: str) -> None:
    process = _start(project, run)
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"an undisturbed run ended with {process.returncode}:\n{output[-3000:]}")


def _content(project: Path, run: str) -> dict[str, bytes]:
    """All files of a run besides its logs."""
    results = project / "results" / run
    files = (path for path in results.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in files
        if path.relative_to(results).parts[0] != "logs"
    }


def _wait_for_jobs(project: Path, run: str, process: subprocess.Popen[str]) -> None:
    """Wait until the first job of a run has ended."""
    while process.poll() is None and not list((project / "results" / run / "logs").rglob("*.stats.json")):
        time.sleep(0.02)


def _outcome(name: str, output: str, status: int, *messages: str) -> dict[str, str]:
    """What came of something that should be refused with one of some messages, of which the first is shown."""
    lines = [line for message in reversed(messages) for line in output.splitlines() if message in line]
    if "Traceback (most recent call last)" in output:
        outcome = "traceback"
    elif status == 1 and lines:
        outcome = "refused clearly"
    else:
        outcome = "silently wrong" if status == 0 else "traceback"
    return {"name": name, "outcome": outcome, "message": lines[-1].strip() if lines else output[-300:]}


def _then_finished(result: dict[str, str], project: Path, expected: dict[str, bytes]) -> dict[str, str]:
    """The same result, or `silently wrong` if the plain command does not then end in the undisturbed run's bytes."""
    scratch = [str(path) for path in (project / "results").rglob("*.scratch")]
    _finished(project, "small")
    found = _content(project, "small")
    differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if scratch or differing:
        return result | {"outcome": "silently wrong", "message": f"left {scratch}, other bytes in {differing}"}
    return result


def _two_of_one_name(folder: Path, expected: dict[str, bytes]) -> dict[str, str]:
    project = _project(folder)
    first = _start(project, "small")
    _wait_for_jobs(project, "small", first)
    second = _start(project, "small")
    output, _ = second.communicate()
    result = _outcome("two runs of one name", output, second.returncode, "another snakemake works on the run 'small'")
    first.communicate()
    if first.returncode:
        return result | {"outcome": "silently wrong", "message": "the first one was disturbed"}
    return _then_finished(result, project, expected)


def _two_of_two_names(folder: Path, expected: dict[str, bytes]) -> dict[str, str]:
    """The other one ends first; then the first one must still hold its run."""
    project = _project(folder)
    first = _start(project, "small")
    _wait_for_jobs(project, "small", first)
    command = [SNAKEMAKE, "table_zero_shot", "--configfile", "other.json"]
    other = subprocess.run(command, cwd=project, capture_output=True, text=True)
    still_works = first.poll() is None
    again = _start(project, "small")
    output, _ = again.communicate()
    first.communicate()
    result = {"name": "two runs of two names", "outcome": "harmless", "message": "both end well"}
    if other.returncode or first.returncode:
        return result | {"outcome": "traceback", "message": (other.stderr + output)[-300:]}
    if still_works and "another snakemake works on the run 'small'" not in output:
        return result | {"outcome": "silently wrong", "message": "the other one took the lock away"}
    return _then_finished(result, project, expected)


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    """A small disk in memory at a folder; whether it could be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:  # no such command
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(disk: Path, left: int) -> Path:
    """A file that leaves so many KiB of a small disk."""
    free = int(subprocess.check_output(["df", "-k", "--output=avail", str(disk)]).split()[-1])
    filling = disk / "filling"
    with contextlib.suppress(OSError):  # the run writes at the same time
        filling.write_bytes(bytes(max(free - left, 0) * 1024))
    return filling


def _on_small_disk(folder: Path, which: str, trial: Callable[[Path, Path], dict[str, str]]) -> dict[str, str]:
    """A trial on a project whose folder, or whose results alone, are on a small disk."""
    disk = folder if which == "all" else folder / "results"
    with _small_disk(disk):
        return trial(_project(folder), disk)


def _full_disk(folder: Path, which: str, left: int, expected: dict[str, bytes]) -> dict[str, str]:
    def trial(project: Path, disk: Path) -> dict[str, str]:
        process = _start(project, "small")
        _wait_for_jobs(project, "small", process)
        filling = _fill(disk, left)
        output, _ = process.communicate()
        name = f"full disk ({'project' if which == 'all' else 'results'}, {left} KiB left)"
        result = _outcome(name, output, process.returncode, "the disk is full", "No space left on device")
        filling.unlink()
        return _then_finished(result, project, expected)

    return _on_small_disk(folder, which, trial)


def _nearly_full_at_the_start(folder: Path) -> dict[str, str]:
    def trial(project: Path, disk: Path) -> dict[str, str]:
        _fill(disk, 1000)
        process = _start(project, "small")
        output, _ = process.communicate()
        return _outcome("full disk at the start", output, process.returncode, "the disk is full")

    return _on_small_disk(folder, "all", trial)


def _read_only(folder: Path) -> dict[str, str]:
    def trial(project: Path, disk: Path) -> dict[str, str]:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        process = _start(project, "small")
        output, _ = process.communicate()
        return _outcome("read-only folder", output, process.returncode, "a disk that can only be read")

    return _on_small_disk(folder, "all", trial)
