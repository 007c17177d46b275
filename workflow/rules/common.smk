import atexit
import json
import logging
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.iocontainers import Wildcards
from snakemake.logging import logger
from snakemake.output_index import OutputIndex
from snakemake.persistence import PersistenceBase

ROOT = Path(workflow.basedir)
LIBRARY = ROOT / "workflow"

# Steps run with this Snakemake's own Python, which need not be the first on the PATH (.venv/bin/snakemake works without
# activating .venv); a conda environment, where one is used, comes before it. They find the library by the runner's place.
sys.path.insert(0, str(LIBRARY))
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")]))

# How long a thread that waits for another spins before it sleeps. With the usual count a training step of the embedded
# model was 25 times slower beside one busy process on two cores; with this one 3 times, and 10 % slower on idle cores.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# glibc gives freed memory back to the system, and a training step asks for it anew: 5 % of the time. It may keep a little.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(32 * 2**20))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(256 * 2**20))

from taskneurons.core import disk as free_disk
from taskneurons.core import lock, owner, warm
from taskneurons.core import chain as links  # "chain" is a name that Snakemake itself uses here
from taskneurons.checks.config import checked_config, data_of, needed_sizes, some_tasks
from taskneurons.checks.model_files import files_of_a_model
from taskneurons.config import settings as types
from taskneurons.config.settings import percent_text
from taskneurons.core.code_identity import code_identity
from taskneurons.core.errors import UserError
from taskneurons.core.named import constants, module_of, named, names
from taskneurons.data.files import local_split
from taskneurons.data.splits import SOURCE_SPLITS
from taskneurons.plan.devices import device, has_gpu
from taskneurons.plan.geometry import model_geometry
from taskneurons.plan.needs import disk, how, needs
from taskneurons.plan.refusals import too_large
from taskneurons.plan.work import LABEL_TOKENS, STEPS, Job, Split, Work
from taskneurons.report.contents import facts, left_out, shown

try:
    RUN = checked_config(config, ROOT)
    if workflow.is_main_process:
        free_disk.check_writable(Path(".snakemake", "locks"), Path("results"), Path("results", RUN.config.run))
except UserError as problem:
    raise WorkflowError(str(problem)) from None

# A local run's jobs are forks of one process that has imported torch and the like; not on a cluster's nodes.
if os.environ.get(warm.VARIABLE) != "off":
    os.environ.pop(warm.VARIABLE, None)
    if workflow.is_main_process:
        folder = tempfile.mkdtemp(prefix="taskneurons-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ.update({warm.VARIABLE: f"{folder}/warm"})

CONFIG = RUN.config
FOLDER = Path("results", CONFIG.run)
os.environ.update({owner.VARIABLE: owner.named(lock.jobs_file(FOLDER))})
os.environ.update(TASKNEURONS_CHECKPOINT_SECONDS=str(CONFIG.compute.checkpoint_seconds))
STARTED = time.time()
TASKS = list(RUN.tasks)
ALL_TASKS = RUN.tasks | RUN.continual  # the main job looks at none of continual learning
ORIGINALS = [f"multitask-seed{seed}" for seed in CONFIG.training.seeds]
TUNING = CONFIG.neuron_tuning  # None where the config leaves it out
GENERALISATION = CONFIG.generalisation if TUNING else None  # its trainings take the learning rate of neuron tuning

# Models: the base model, the originals, and those fine-tuned on one task alone.
MODEL = rf"base|multitask-seed\d+|single-({'|'.join(TASKS)})-seed\d+"

# Snakemake asks anew for every reader of a file which rules make it: a third of the time that planning takes.
OutputIndex.match_producers = cache(OutputIndex.match_producers)

# Models and scores go to Snakemake's output cache where --cache asks for it; said otherwise, it would be told at every start.
CACHED = workflow.workflow_settings.cache is not None

# A line that Snakemake cannot write to its own log (a full disk) is no reason to print a traceback.
logging.raiseExceptions = False

if workflow.is_main_process:
    for warning in RUN.warnings:
        logger.warning(f"config: {warning}")

# Every rule's command: it calls the step that `params.spec` names with the files of `params.files`. Both come by the
# standard input, because a word of a command may not be longer than 128 KiB.
os.environ.update(TASKNEURONS_RUNNER=str(LIBRARY / "run_step.py"), TASKNEURONS_RESULTS=str(FOLDER))
STEP = """python "$TASKNEURONS_RUNNER" - - --results "$TASKNEURONS_RESULTS" --log {log:q} << 'END OF JOB'
{params.spec}
{params.files}
END OF JOB"""
ENVIRONMENT = "../../envs/taskneurons.yaml"

# Where trainings keep their state to go on after a kill: no output of a rule, which Snakemake would delete then.
CHECKPOINTS = f"results/{CONFIG.run}/checkpoints"


wildcard_constraints:
    task="|".join(ALL_TASKS),
    model=MODEL,
    scored=rf"({MODEL})(-from-mean)?",
    seed=r"\d+",
    k=r"[0-9.]+",


def spec(step, *found_by_name, **settings):
    """All that a step's result depends on besides its wildcards and input files, for `params: spec=`.

    `found_by_name` are the modules that the step loads by name: a selection rule, a criterion, a table. chain.smk adds
    the wildcards and the links of the inputs, and makes one JSON text of it.
    """
    code = code_identity(LIBRARY, f"taskneurons.{step}", *found_by_name)
    plain = {name: value.model_dump() if hasattr(value, "model_dump") else value for name, value in settings.items()}
    return {"step": step, "code": code, **plain}


def named_files(container):
    """A job's input or output files by keyword."""
    return {name: str(files) if isinstance(files, str) else list(map(str, files)) for name, files in container.items()}


def files(**others):
    """A rule's files by keyword, as JSON, for `params: files=`: its named inputs and outputs, and others.

    Snakemake does not compare params that are made of inputs and outputs, but its output cache (--cache) does: so that
    runs of different names share what is the same, the run's folder is written <results> here.
    """

    def of_job(wildcards, input, output):
        given = named_files(input) | named_files(output)
        text = json.dumps(given | {name: path.format(**wildcards) for name, path in others.items()})
        return text.replace(f'"{FOLDER}/', '"<results>/')

    return of_job


def part(section, kind):
    """What a step needs of a section of the config: the keys of a settings class."""
    return kind(**{key: getattr(section, key) for key in kind.model_fields})


def compute(kind, whole=False):
    """The compute settings of a step; kind is "training", "tuning" or "inference". Threads never come from --cores.

    A training of the whole model has the weights for it, whatever its kind: by `whole`, those of a tuning too.
    """
    settings = CONFIG.compute
    return types.DeviceSettings(
        device=settings.device,
        dtype=settings.dtype,
        weights=settings.trained_weights if whole or kind == "training" else settings.frozen_weights,
        threads=getattr(settings, f"{kind}_threads"),
    )


def loop_settings(training, kind=types.LoopSettings):
    """The settings of a training, by one of the config's training entries."""
    fields = {name: value for name, value in training.model_dump().items() if name != "seeds"}
    passes = CONFIG.compute
    return kind(
        **fields, batch_tokens=passes.training_batch_tokens, gradient_checkpointing=passes.gradient_checkpointing
    )


def validation_data(tasks, training):
    """The validation splits of some tasks, if a training looks at them."""
    return [f"<results>/data/{task}/validation.parquet" for task in tasks] if training.validation else []


def evaluation_settings(task, kind, **fixed):
    """The settings of an evaluation; what does not concern it keeps its default, so that no change of it counts."""
    given = part(CONFIG.evaluation, kind)
    if RUN.tasks[task].shown["metric"] != "accuracy":
        fixed["label_score"] = "sum"
    return given.model_copy(update=fixed)


def attribution_spec(step, scored, resampled, **settings):
    """The spec of the scoring of a task, whole or in shards, with or without resampled examples."""
    scoring = part(CONFIG.attribution, types.TaskScoring).model_copy(update={"reference": reference_of(scored)})
    return spec(
        f"attribution.{step}",
        attribution=scoring if resampled else scoring.model_copy(update={"bootstrap": 0}),
        stability=part(CONFIG.stability, types.Subsets) if resampled else None,
        seed=CONFIG.seed if resampled else 0,
        compute=compute("inference"),
        **settings,
    )


def task_sets_spec(step, task, **settings):
    """The spec of a step that makes a task's sets itself, of the scores of all tasks."""
    return spec(
        step,
        *(module_of("selection.rules", rule) for rule in FAIR_RULES),
        task=task,
        rules=FAIR_RULES,
        families={key: one.shown["family"] for key, one in RUN.tasks.items()},
        scope=CONFIG.selection.scope,
        **settings,
    )


@contextmanager
def locked(persistence):
    """Snakemake's place to lock the folder, with a lock of the run that ends with the process.

    Snakemake's own is a list of files. A Snakemake that is killed leaves it behind, for `--unlock`, and one that ends
    takes away those of all others in the folder.
    """
    try:
        free_disk.check_writable(FOLDER)
        free_disk.check_room(FOLDER)
        with lock.working_on(FOLDER, logger.warning):
            with suppress(OSError):
                persistence.cleanup_locks()  # of a Snakemake without this Snakefile
            yield
    except UserError as problem:
        raise WorkflowError(str(problem)) from None


PersistenceBase.lock = locked


def end_jobs_on(number):
    """Let a signal (Ctrl-C, kill) end the jobs too; Snakemake would wait for them."""
    snakemakes = signal.getsignal(number)

    def end_jobs(*arguments):
        lock.end_jobs()
        snakemakes(*arguments)

    if callable(snakemakes):
        signal.signal(number, end_jobs)
