"""Make what killed trainings leave behind.

`die_with_state.py PROJECT KEPT` runs three trainings of a finished run, lets each die before its last steps, and moves
the state that they kept to KEPT.
"""

import os
import shutil
import sys
from pathlib import Path

project, kept = Path(sys.argv[1]), Path(sys.argv[2])
sys.path[:0] = [str(project / "workflow"), str(Path(__file__).parents[1])]

from reliability.small import jobs  # noqa: E402
from taskneurons.core import step  # noqa: E402
from taskneurons.training import loop  # noqa: E402
from taskneurons.training.checkpoint import Checkpoint  # noqa: E402

# The training's history → the step before which it dies, counted over all of its sets.
DEATHS = {"base": 2, "multitask-seed1": 4, "film_reviews-seed0": 15}


class DeathError(Exception):
    pass


Checkpoint.due = lambda self: True  # type: ignore[method-assign]
own_step = loop._step
os.chdir(project)
found = list(jobs(project, "small.json"))
for name, last in DEATHS.items():
    spec, files = next(
        (spec, files) for spec, files in found if files.get("metrics") == f"results/small/training/{name}.parquet"
    )
    done: list[int] = []

    def dying(*arguments, done=done, last=last):
        if len(done) == last:
            raise DeathError
        done.append(1)
        return own_step(*arguments)

    loop._step = dying
    try:
        step.call(spec, files)
        raise RuntimeError(f"{name} did not die")
    except DeathError:
        pass
shutil.rmtree(kept, ignore_errors=True)
shutil.move("results/small/checkpoints", kept)
