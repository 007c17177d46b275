"""Snakemake in forks of one process that has imported it: starting it anew costs more than a dry-run's own work.

It imports nothing of this library, so that each fork takes the library of the folder that it works in.
"""

import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# What Snakemake imports while it runs.
LATE = ["docutils.parsers.rst", "dpath", "smart_open", "snakemake.assets", "snakemake.report.html_reporter", "yte"]


def snakemake(folder: Path, *options: str) -> tuple[int, str]:
    """The exit status and the output of `snakemake <options>` in a folder. Run it in a fork: it changes the process."""
    from snakemake.cli import main

    os.chdir(folder)
    os.environ["TASKNEURONS_WARM"] = "off"  # no step is run
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        try:
            main(list(options))
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        if reader := sys.modules.get("taskneurons.core.code_identity"):
            reader._remember()  # a fork of a pool ends without its atexit functions
        output.seek(0)
        return status, output.read().decode()


def pool(workers: int) -> ProcessPoolExecutor:
    """Workers that each serve one call, forked from a process that has imported Snakemake."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["snakemake.cli", "numpy", "pyarrow.parquet", "pydantic", *LATE])
    return ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1)
