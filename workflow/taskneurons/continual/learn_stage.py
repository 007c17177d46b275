"""Learn a stage of a sequence by a method: what it keeps, the history of its training, and what it cost.

The costs are a row of their own file: seconds and peak_memory_mib (of this machine, and of the last try of a job that
was killed), trained_parameters, kept_bytes (what is kept for this task beside the one model).
"""

import resource
import sys
import time
from pathlib import Path

import pandas as pd
import torch

from taskneurons.config.settings import ContinualLoop
from taskneurons.continual.method import Learnt, Stage
from taskneurons.continual.stages import STATE, StageSettings, lessons_of, splits_of
from taskneurons.continual.tune_method import chosen_of
from taskneurons.core.artifacts import write_frame
from taskneurons.core.content import content_hash
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.models.tensors_file import read_tensors, write_tensors
from taskneurons.training.checkpoint import Checkpoint

COSTS = "stage costs"


class LearnSettings(StageSettings):
    """What a stage depends on.

    Attributes:
        learning_rate, knob: of the method; None where a file of its tuning has them.
    """

    training: ContinualLoop
    learning_rate: float | None
    knob: float | None


def peak_memory_mib(base: LoadedModel) -> float:
    """The most memory that this process has taken so far: the device's where it is a GPU."""
    if base.compute.device.type == "cuda":
        return torch.cuda.max_memory_allocated(base.compute.device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main(
    settings: LearnSettings,
    *,
    base: Path,
    data: list[Path],
    scores: list[Path],
    kept: list[Path],
    tuned: list[Path],
    checkpoint: Path,
    state: Path,
    history: Path,
    costs: Path,
) -> None:
    """Learn a stage.

    Args:
        base: the base model's folder.
        data: the train splits that the method needs: the stage's task's, or those of all tasks so far.
        scores: by the base model, of the tasks so far, where the method needs them.
        kept: what the stages before kept, in their order, as far as the method needs it.
        tuned: the file of the method's tuning, where the settings give no learning rate.
        checkpoint: where the training's state is kept, to go on after a kill.
        state, history, costs: to write.
    """
    rate, knob = chosen_of(tuned, settings.learning_rate, settings.knob)
    loaded = load_model(base, settings.compute)
    lessons = lessons_of(settings.tasks, splits_of(data), scores, loaded)
    before = [read_tensors(path, STATE) for path in kept]
    key = content_hash([settings.spec(), rate, knob, loaded.identity, [one.pairs for one in lessons]])
    stage = Stage(
        base=loaded,
        lessons=lessons,
        kept=[tensors for tensors, _ in before],
        settings=settings.of_method(knob),
        training=settings.training.at(rate),
        checkpoint=Checkpoint(checkpoint, key),
    )
    start = time.monotonic()
    learnt: Learnt = settings.module.learn(stage)
    seconds = time.monotonic() - start
    made = {
        **{"spec": settings.spec(), "method": settings.module.NAME, "learns": settings.module.LEARNS},
        "sequence": settings.tasks,
        **{"seed": settings.seed, "learning_rate": rate, "knob": knob, "base": loaded.identity},
        **{"dtype": loaded.compute.dtype_name, "trained_parameters": learnt.parameters},
    }
    cost = {"seconds": seconds, "peak_memory_mib": peak_memory_mib(loaded)}
    cost |= {"trained_parameters": learnt.parameters, "kept_bytes": learnt.kept_bytes}
    write_frame(costs, pd.DataFrame([cost]), COSTS, made)
    write_frame(history, learnt.history, "training", made)
    write_tensors(state, learnt.tensors, STATE, made)
    stage.checkpoint.remove()
