"""The runner of all steps: it turns a rule's job into a call, and owns the log, the clock and the errors.

A step is a module of the library with a function `main(settings, *, …)`: `settings` has a type derived from
`StepSettings`, and each keyword is a file (`Path`) or files (`list[Path]`) that the step reads or writes. A job is two
JSON texts: the spec (the step's name, the identity of its code, its settings) and its files by keyword.
"""

import argparse
import contextlib
import gc
import inspect
import json
import logging
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import psutil
from pydantic import TypeAdapter

from taskneurons.core import disk, owner
from taskneurons.core.artifacts import write_json
from taskneurons.core.chain import damage_mark, start_job
from taskneurons.core.errors import DamagedError, UserError
from taskneurons.core.machine import commit, machine


def call(spec: dict[str, Any], files: dict[str, Any]) -> None:
    """Call the step that a spec names, once its input files are known to be what the spec expects.

    Raises:
        pydantic.ValidationError: the settings or the files do not fit the step's signature.
        UserError: an input file is not what the spec expects.
    """
    step = import_module(f"taskneurons.{spec['step']}").main
    types = get_type_hints(step)
    others = inspect.getfullargspec(step).varkw  # as in `**inputs: list[Path]`
    if unknown := set(files) - set(types) if others is None else set():
        raise TypeError(f"{spec['step']} takes no {', '.join(sorted(unknown))}")
    types_of_files = {name: types[name if name in types else str(others)] for name in files}
    paths = {name: TypeAdapter(types_of_files[name]).validate_python(value) for name, value in files.items()}
    start_job(spec, files)
    step(TypeAdapter(types["settings"]).validate_json(json.dumps(spec)), **paths)


def main(options: list[str]) -> None:
    """Run a job; end with exit status 1 and one clear message when it fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=json.loads, help="the step, its code and its settings (JSON)")
    parser.add_argument("files", help="the step's files by keyword (JSON)")
    parser.add_argument("--results", default="results", help="what <results> at the beginning of a file stands for")
    parser.add_argument(
        "--log",
        type=Path,
        help="also write the messages, and the traceback of an error, to this file; wall and CPU time (s), peak memory "
        "(MiB), the commit and the machine go to a file beside it that ends in .stats.json",
    )
    arguments = parser.parse_args(options)
    owner.end_with_owner()
    # What was imported stays to the end: the search for garbage need not look at it, which takes 0.7 s at the exit.
    gc.freeze()
    try:
        _start_logging(arguments.log)
        call(arguments.spec, json.loads(located(arguments.files, arguments.results)))
        if arguments.log:
            _write_stats(arguments.log.with_suffix(".stats.json"), time.time() - psutil.Process().create_time())
    except UserError as problem:
        if isinstance(problem, DamagedError):
            with contextlib.suppress(OSError):
                damage_mark(problem.artifact).touch()
        sys.exit(_report(f"Error: {problem}"))
    except Exception as problem:
        if message := disk.told(problem):
            sys.exit(_report(f"Error: {message}"))
        logging.exception("the step failed")
        raise SystemExit(1) from None


def located(files: str, results: str) -> str:
    """The JSON text of a job's files with the folder of its run in it."""
    return files.replace('"<results>/', json.dumps(f"{results}/")[:-1])


def _start_logging(path: Path | None) -> None:
    logging.raiseExceptions = False  # a line that a full disk does not take is lost, with no traceback for it
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,  # a library may have set up handlers of its own while it was imported
    )
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, mode="w")
        file.setFormatter(logging.getLogger().handlers[0].formatter)
        logging.getLogger().addHandler(file)
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
