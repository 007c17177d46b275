"""Progress with time left: a bar on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 15.0

log = logging.getLogger(__name__)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"


def progress(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Yield the items; show how many of `total` are done and how long the rest will take.

    On a terminal this is a tqdm bar. Elsewhere a line is logged at most every 15 seconds, and one at the end.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total, dynamic_ncols=True)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            left = (now - start) / done * (total - done)
            log.info("%s: %d of %d (%d %%), %s left", what, done, total, 100 * done // total, _clock(left))
            last = now
    log.info("%s: %d done in %s", what, total, _clock(time.monotonic() - start))
