"""Errors that are the disk's and not the program's: told in one message, whichever library has met them."""

import errno
import os
import re
import shutil
from pathlib import Path

from taskneurons.core.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
LEAST = 10 * 2**20  # bytes that must be free before a run starts


def told(problem: BaseException) -> str | None:
    """What to tell of an error whose reason is a full disk, or one that may not be written; None for any other."""
    reason: BaseException | None = problem
    while reason is not None:
        number = _number(reason)
        if number in FULL:
            return f"the disk is full ({reason}): make room and run again; nothing was half-written"
        if number in CLOSED:
            return f"no permission, or a disk that can only be read ({reason}): mend that and run again"
        reason = reason.__cause__ or reason.__context__
    return None


def _number(problem: BaseException) -> int | None:
    """The system's number of an error; libraries in Rust and C++ have it in their texts alone."""
    if isinstance(problem, OSError) and problem.errno is not None:
        return problem.errno
    found = re.search(r"\b(?:os error|errno) (\d+)", str(problem))
    return int(found[1]) if found else None


def check_writable(made: Path, *others: Path) -> None:
    """Make a folder, and see that it can be written, and others too where they are there.

    Raises:
        UserError: one cannot, or the disk is full.
    """
    try:
        made.absolute().mkdir(parents=True, exist_ok=True)
        for folder in (made, *others):
            if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "this folder cannot be written", str(folder.absolute()))
    except OSError as problem:
        raise UserError(told(problem) or str(problem)) from problem


def check_room(folder: Path) -> None:
    """See that the disk of a folder has some room; what a run needs is not known before.

    Raises:
        UserError: it is full, or nearly so.
    """
    free = shutil.disk_usage(folder).free
    if free < LEAST:
        raise UserError(
            f"the disk is full: {free / 2**20:.1f} MiB are free at {folder.absolute()}, where a run asks for at least "
            f"{LEAST / 2**20:.0f}: make room and run again"
        )
