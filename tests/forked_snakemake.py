"""Snakemake in forks of one process that has imported it: starting it anew costs more than a dry-run's own work.

It imports nothing of this library, so that each fork takes the library of the folder that it works in.
"""

import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


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
        output.seek(0)
        return status, output.read().decode()


def pool(workers: int) -> ProcessPoolExecutor:
    """Workers that each serve one call, forked from a process that has imported Snakemake."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["snakemake.cli", "numpy", "pyarrow.parquet", "pydantic"])
    return ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1)
