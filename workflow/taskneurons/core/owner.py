"""The Snakemake that a job belongs to: a job ends when it is gone, and a run is held as long as a job of it works.

The Snakefile names the Snakemake process that starts a job in the variable `TASKNEURONS_OWNER`, beside the file
`.jobs` of the run. Every job shares a lock on that file, then looks whether its owner is there, and goes on looking. A
Snakemake that starts to work on the run first waits until nobody shares that lock (`core/lock.py`). So it meets no
job of an earlier one: a job either shared the lock before, and is waited for, or finds its owner gone and ends
before it opens a file. On a cluster the owner is the Snakemake on the job's node.
"""

import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path

VARIABLE = "TASKNEURONS_OWNER"  # <process id>:<when it was started>@<path of the lock that jobs share>
SECONDS = 0.5  # between two looks at the owner


def named(jobs: Path) -> str:
    """This process as the owner of jobs that share the lock on a file: the variable's value."""
    return f"{identity(os.getpid())}@{jobs.absolute()}"


def is_alive(value: str) -> bool:
    """Whether the process that the variable names is still there."""
    name = value.partition("@")[0]
    return name == identity(int(name.partition(":")[0]))


def identity(process: int) -> str | None:
    """A process's id and when it was started, which tells it from a later one of that id; None if it has ended."""
    try:
        if not Path("/proc/self/stat").exists():  # no Linux: the id alone
            os.kill(process, 0)
            return f"{process}:"
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    # In ticks since the system is up, which no correction of its clock changes. A zombie has ended.
    return None if state in "ZX" else f"{process}:{fields[18]}"


def end_with_owner() -> None:
    """Let this process, a job, be gone within a second of its owner; nothing where no owner is named."""
    value = os.environ.get(VARIABLE)
    if not value:
        return
    with contextlib.suppress(OSError):  # a file system without locks, of which Snakemake has warned
        # Never closed: the lock is shared until the process ends.
        fcntl.flock(os.open(value.partition("@")[2], os.O_CREAT | os.O_RDONLY, 0o644), fcntl.LOCK_SH)
    if not is_alive(value):
        sys.exit("the snakemake that started this job is gone: the job ends too")
    threading.Thread(target=_watch, args=(value,), daemon=True).start()


def _watch(value: str) -> None:
    while is_alive(value):
        time.sleep(SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
