"""What every benchmark shares: paired times, memory of fresh processes, and the form of the results.

A row is {name, rival, ratio, goal, ours, theirs, unit}: ratio = ours ÷ rival, below 1 is better; a goal of null marks a
figure that is only reported.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch

from taskneurons.core.machine import machine

RESULTS = Path(__file__).parent / "results"
REPEATS = 7
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072"}  # bytes

Row = dict[str, Any]


def row(name: str, goal: float | None, ratio: float, ours: float, theirs: float, unit: str, **more: Any) -> Row:
    """One row of the results; the rival is the name's second part."""
    rival = name.split("/", 1)[1]
    values = {"ratio": round(ratio, 4), "goal": goal, "ours": round(ours, 5), "theirs": round(theirs, 5), "unit": unit}
    print(
        f"{name:34} {ratio:8.3f}  goal {goal if goal is None else round(goal, 3)}  ({ours:.4g} / {theirs:.4g} {unit})"
    )
    return {"name": name, "rival": rival, **values, **more}


def seconds(work: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call, with the accelerator's queue emptied."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def timed(
    name: str, goal: float | None, ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int = REPEATS
) -> Row:
    """A row of times: both warmed up, then called in turns; the ratio is the median of the pairs' ratios."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    ratio = median(own / other for own, other in pairs)
    return row(name, goal, ratio, median(own for own, _ in pairs), median(other for _, other in pairs), "s")


def peak_kib() -> int:
    """The largest resident size of this process so far, in KiB (Linux).

    Not ru_maxrss: in a process that another one starts, that begins with the other's largest size.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])  # type: ignore[index]


def in_fresh_process(script: str, what: str, repeats: int = 5) -> float:
    """MiB that `python <script> --measure <what>` reports of itself: the median of several processes, which differ.

    Freed blocks go back to the system at once there. By default glibc keeps them in its heap, and how that happens to
    be cut up changed the peak of one and the same call by half from process to process.
    """
    command = [sys.executable, script, "--threads", str(torch.get_num_threads()), "--measure", what]
    found = []
    for _ in range(repeats):
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **GIVE_BACK})
        found.append(float(done.stdout.strip().splitlines()[-1]))
    return median(found)


def print_memory_of(work: Callable[[], Any]) -> None:
    """Print by how many MiB the call raises this process's largest resident size."""
    before = peak_kib()
    work()
    print((peak_kib() - before) / 1024)


def benchmark(
    name: str,
    description: str | None,
    geometry: dict[str, Any],
    rows: Callable[[], list[Row]],
    measured: Sequence[str],
    measure: Callable[[str], None],
) -> None:
    """Run a benchmark's command line.

    Args:
        rows: makes the results.
        measured, measure: the names whose memory `--measure <name>` prints, and what prints it.
    """
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--measure", choices=measured, help="only print the memory of one of these")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.measure:
        measure(arguments.measure)
    else:
        write_results(name, geometry, rows())


def write_results(name: str, geometry: dict[str, Any], rows: list[Row]) -> None:
    """Write `benchmarks/results/<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    packages = ("torch", "transformers", "captum", "peft")
    record = {
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "versions": {"python": sys.version.split()[0], **{package: version(package) for package in packages}},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "geometry": geometry,
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    missed = [row["name"] for row in rows if row["goal"] is not None and row["ratio"] > row["goal"]]
    print(f"\n{RESULTS / name}.json written; goals missed: {', '.join(missed) or 'none'}")
