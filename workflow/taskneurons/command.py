"""What every step's command shares: its options, its log, its clock, and how an error reaches the user."""

import argparse
import errno
import gc
import json
import logging
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from taskneurons.artifacts import write_json
from taskneurons.errors import UserError
from taskneurons.provenance import commit, machine


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all steps have: `--spec` and `--log`."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--spec", required=True, type=json.loads, help="the step's settings, as a JSON object")
    result.add_argument(
        "--log",
        type=Path,
        help="also write the messages, and the traceback of an error, to this file; wall and CPU time (s), peak memory "
        "(MiB), the commit and the machine go to a file beside it that ends in .stats.json",
    )
    return result


def run(step: Callable[[argparse.Namespace], None], options: argparse.ArgumentParser) -> None:
    """Parse the options and run the step; end with exit status 1 and one clear message when it fails."""
    arguments = options.parse_args()
    # What was imported stays to the end: the search for garbage need not look at it, which takes 0.7 s at the exit.
    gc.freeze()
    _start_logging(arguments.log)
    try:
        step(arguments)
    except UserError as problem:
        sys.exit(_report(f"Error: {problem}"))
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
            sys.exit(_report(f"Error: the disk is full ({problem}): make room and run again; nothing was half-written"))
        logging.exception("the step failed")
        raise SystemExit(1) from None
    if arguments.log:
        _write_stats(arguments.log.with_suffix(".stats.json"), time.time() - psutil.Process().create_time())


def _start_logging(path: Path | None) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w"))
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=handlers,
        force=True,  # a library may have set up handlers of its own while it was imported
    )
    # Third-party chatter (HTTP requests, kernel choices) is not news to the person who watches.
    for name in ("httpx", "httpx2", "datasets", "fsspec", "matplotlib", "absl", "filelock"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _report(message: str) -> int:
    logging.error(message)
    return 1


def _write_stats(path: Path, seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    stats: dict[str, Any] = {
        "wall_seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        # ru_maxrss counts KiB on Linux, bytes on macOS
        "peak_memory_mib": round(used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)),
        "commit": commit(),
        "machine": machine(),
    }
    write_json(path, stats)
