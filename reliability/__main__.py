"""`python -m reliability`: try the workflow's promises, part by part, and write docs/reliability.md.

What was tried is kept in .reliability/<part>.jsonl, so that a run that was ended goes on where it was: delete the
folder to try everything anew. All that is drawn at random is drawn by SEED.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from reliability import configs, corruptions, data_files, disk_and_locks, kills, model_folders
from reliability.page import OUTCOMES, write_page
from reliability.small import ROOT
from taskneurons.core.owner import VARIABLE as OWNER
from taskneurons.core.owner import named
from taskneurons.core.warm import VARIABLE as WARM

SEED = 0
KILLS, CORRUPTIONS, CHECKPOINTS, CONFIGS = 50, 240, 24, 500
KEPT = ROOT / ".reliability"

Found = Iterator[dict[str, str]]


def killed(folder: Path, done: set[str]) -> Found:
    reference = kills.prepare(folder)
    if "--cores 1 against --cores 2" not in done:
        yield kills.one_core_and_two(folder, reference)
    for case in kills.cases(KILLS, SEED):
        if case["name"] not in done:
            yield kills.attempt(case, folder, reference)


def corrupted(folder: Path, done: set[str]) -> Found:
    finished = corruptions.finished_runs(folder)
    for case in corruptions.cases(finished, CORRUPTIONS, SEED):
        if case["name"] not in done:
            yield corruptions.attempt(case, folder, finished)


def checkpoints(folder: Path, done: set[str]) -> Found:
    finished = corruptions.finished_runs(folder)
    for case in corruptions.checkpoint_cases(CHECKPOINTS, SEED):
        if case["name"] not in done:
            yield corruptions.checkpoint_attempt(case, folder, finished)


def whole(try_all: Callable[[Path], list[dict[str, str]]]) -> Callable[[Path, set[str]], Found]:
    """A part that takes seconds, and is tried in one go."""

    def part(folder: Path, done: set[str]) -> Found:
        if not done:
            shutil.rmtree(folder)
            folder.mkdir()
            yield from try_all(folder)

    return part


# Part → what it tries, and the folder of its files, which some share.
PARTS: dict[str, tuple[Callable[[Path, set[str]], Found], str]] = {
    "mutated configs": (whole(lambda folder: configs.try_all(CONFIGS, SEED, folder)), "configs"),
    "data files": (whole(data_files.try_all), "data"),
    "model folders": (whole(model_folders.try_all), "models"),
    "full disk, read-only folder, two runs at once": (whole(disk_and_locks.try_all), "disk"),
    "corruptions and swaps": (corrupted, "corruptions"),
    "damaged states of trainings": (checkpoints, "corruptions"),
    "kills": (killed, "kills"),
}


def read(part: str) -> list[dict[str, str]]:
    """What was tried of a part."""
    file = KEPT / f"{part}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def try_part(part: str) -> None:
    """Try what is left of a part; every outcome is kept at once."""
    attempt, place = PARTS[part]
    folder = KEPT / place
    folder.mkdir(parents=True, exist_ok=True)
    before, used = time.monotonic(), cpu_seconds()
    with (KEPT / f"{part}.jsonl").open("a") as file:
        for found in attempt(folder, {one["name"] for one in read(part)}):
            now = cpu_seconds()
            found = {**found, "wall": round(time.monotonic() - before, 2), "cpu": round(now - used, 2)}
            before, used = time.monotonic(), now
            file.write(json.dumps(found) + "\n")
            file.flush()
            print(f"{part}: {found['outcome']}: {found['name']}: {found['message'][-300:]!r}", flush=True)


def cpu_seconds() -> float:
    """CPU time of all processes of this machine (s), which should have nothing else to do.

    Not all of ours are waited for, so that their own counts would not do.
    """
    times = psutil.cpu_times()
    return times.user + times.system


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m reliability", description=__doc__)
    options.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all, and the page is written")
    given = options.parse_args().parts
    if unknown := set(given) - set(PARTS):
        options.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    warm = Path(tempfile.mkdtemp(prefix="reliability-"))
    # Jobs that are tried alone are forks of one warm process, as in a run (taskneurons/core/warm.py).
    os.environ.update({WARM: f"{warm}/warm", OWNER: named(warm / ".jobs")})
    try:
        for part in given or PARTS:
            try_part(part)
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        shutil.rmtree(warm, ignore_errors=True)
    tried = {part: read(part) for part in PARTS}
    if not given:
        write_page(ROOT / "docs" / "reliability.md", tried, SEED, f"{platform.machine()}, {os.cpu_count()} cores")
    bad = [one for part in tried.values() for one in part if one["outcome"] in OUTCOMES[3:]]
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
