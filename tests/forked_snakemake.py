"""Snakemake in forks of one process that has imported it: starting it anew costs more than a dry-run's own work.

This library is imported there too; a fork that works in a folder whose library is another one forgets it. A file of
rules is parsed once: forks remember what Snakemake's parser made of its text.
"""

import gc
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

# What Snakemake imports while it runs.
LATE = ["docutils.parsers.rst", "dpath", "smart_open", "snakemake.assets", "snakemake.report.html_reporter", "yte"]
OURS = [f"taskneurons.{name}" for name in ("checks.config", "checks.model_files", "plan.work", "report.contents")]


# What Snakemake's parser made of a text, by the text and by Snakemake's version.
PARSED = Path(tempfile.gettempdir()) / f"taskneurons-parsed-rules-{os.getuid()}"


def remembered(parse: Callable[..., tuple[str, int]]) -> Callable[..., tuple[str, int]]:
    """Snakemake's parser, which parses a text once."""

    def parse_once(path: Any, workflow: Any, linemap: dict[int, int], rulecount: int) -> tuple[str, int]:
        text = Path(path.get_path_or_uri(secret_free=False)).read_bytes()
        file = PARSED / hashlib.sha256(text + f"{rulecount} {version('snakemake')}".encode()).hexdigest()
        if not file.exists():
            PARSED.mkdir(exist_ok=True)
            code, count = parse(path, workflow, linemap=linemap, rulecount=rulecount)
            with tempfile.NamedTemporaryFile("w", dir=PARSED, delete=False) as new:
                json.dump([code, count, list(linemap.items())], new)
            Path(new.name).replace(file)
        code, count, lines = json.loads(file.read_text())
        linemap.update(dict(lines))
        return code, count

    return parse_once


def library(folder: Path) -> dict[str, bytes]:
    """The library's files in a project's folder."""
    package = folder / "workflow" / "taskneurons"
    return {str(file.relative_to(package)): file.read_bytes() for file in package.rglob("*.py")}


def snakemake(folder: Path, *options: str, **environment: str) -> tuple[int, str]:
    """The exit status and the output of `snakemake <options>` in a folder. Run it in a fork: it changes the process."""
    import snakemake.workflow
    from snakemake.cli import main
    from snakemake.executors.touch import Executor
    from snakemake.jobs import Job

    snakemake.workflow.parse = remembered(snakemake.workflow.parse)
    gc.disable()  # it would look at all that was imported, again and again
    Executor.SLEEPING_TIME = 0.002  # between a job's touch and the next one's, in place of 0.1 s
    if "--quiet" in options:
        Job.log_info = lambda job, *_, **__: None  # which costs a third of a dry-run, also where nothing is printed
    os.chdir(folder)
    if library(folder) != library(Path(__file__).parents[1]):
        for name in [name for name in sys.modules if name.partition(".")[0] == "taskneurons"]:
            del sys.modules[name]
    os.environ.update(environment, TASKNEURONS_WARM="off")  # no step is run
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
    context.set_forkserver_preload(
        ["snakemake_plugins", "snakemake.cli", "numpy", "pyarrow.parquet", "pydantic", *LATE, *OURS]
    )
    return ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1)
