"""A run's lock, which is the kernel's: the Snakemake that works on the run holds it, and it is gone with that process.

The run's jobs share a lock of their own (`core/owner.py`).
"""

import contextlib
import errno
import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil

from taskneurons.core import owner
from taskneurons.core.errors import UserError

PATIENCE = 30.0  # seconds to wait for jobs of an earlier Snakemake, which end within a second of it
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def jobs_file(run: Path) -> Path:
    """The file of a run whose lock its jobs share."""
    return run / ".jobs"


@contextlib.contextmanager
def working_on(run: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Hold a run, the folder `results/<run>`, so that nobody else works on it.

    Where the file system has no locks, it is not held, and `warn` is told.

    Raises:
        UserError: another Snakemake holds it, or jobs of one that has ended do not end.
    """
    with (run / ".lock").open("ab+", buffering=0) as lock, jobs_file(run).open("ab") as jobs:
        try:
            _hold(lock, run)
            _wait_for(jobs, run)
        except OSError as problem:
            if problem.errno not in WITHOUT_LOCKS:
                raise
            warn(f"{run}: this file system has no locks ({problem}): start no second snakemake on the same run")
        yield


def _hold(lock: IO[bytes], run: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise UserError(
            f"another snakemake works on the run {run.name!r} ({lock.read().decode().strip()}): wait until it has "
            "ended, or stop it with Ctrl-C or kill; a config with another `run` can be run beside it"
        ) from None
    lock.truncate(0)
    with contextlib.suppress(OSError):  # a full disk: only the message of the other one is poorer
        lock.write(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())


def _wait_for(jobs: IO[bytes], run: Path) -> None:
    """Wait until no job of an earlier Snakemake is at work on the run."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(jobs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > end:
                raise UserError(
                    f"jobs of an earlier snakemake are still at work on the run {run.name!r}, on this machine or "
                    "another: wait until they have ended, or cancel them"
                ) from None
            time.sleep(0.2)
    fcntl.flock(jobs, fcntl.LOCK_UN)


def end_jobs() -> None:
    """End all jobs that this process has started, and those that it is just about to start."""
    os.environ[owner.VARIABLE] = f"0:none@{os.environ[owner.VARIABLE].partition('@')[2]}"
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
