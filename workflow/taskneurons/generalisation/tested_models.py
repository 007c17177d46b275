"""How well one model does on every task: how far what it was trained on generalises.

One row a test example: task, measure (loss: the mean loss of its target tokens, in nats; score: 0–1, correct or not, or
ROUGE-L F1), id, value.
"""

from pathlib import Path

import pandas as pd

from taskneurons.config.settings import DeviceSettings, Evaluation, Passes, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.core.progress import progress
from taskneurons.data.encoding import Encoded
from taskneurons.data.task import Task, read_task
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.evaluation.prediction import predict
from taskneurons.models.loaded import LoadedModel, load_model

LOSS, SCORE = "loss", "score"


class MeasuringSettings(StepSettings):
    """What the measures depend on.

    Attributes:
        examples: test examples a task whose loss is measured, the first ones.
        scored: the tasks whose score is measured too.
        scored_examples: test examples of each of them, the first ones.
        batch_tokens: the most tokens in a batch of losses.
    """

    examples: int
    scored: list[str]
    scored_examples: int
    evaluation: Evaluation
    batch_tokens: int
    compute: DeviceSettings


def tested_frame(loaded: LoadedModel, tasks: list[Task], examples: int, passes: Passes) -> pd.DataFrame:
    """The losses on the first examples of some tasks."""
    frames = [
        loss_rows(loaded, task, task.encoded(loaded.tokenizer)[:examples], passes)
        for task in progress(tasks, "losses", len(tasks))
    ]
    return pd.concat(frames, ignore_index=True)


def loss_rows(loaded: LoadedModel, task: Task, examples: list[Encoded], passes: Passes) -> pd.DataFrame:
    """The losses on a task's examples."""
    return _rows(task, LOSS, target_losses(loaded, [example.pair for example in examples], passes, task.key))


def score_rows(loaded: LoadedModel, task: Task, examples: list[Encoded], evaluation: Evaluation) -> pd.DataFrame:
    """The scores on a task's examples."""
    return _rows(task, SCORE, predict(loaded, task, examples, evaluation)[1])


def _rows(task: Task, measure: str, values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"task": task.key, "measure": measure, "id": range(len(values)), "value": values})


def main(settings: MeasuringSettings, *, model: Path, data: list[Path], tested: Path) -> None:
    """Write a model's losses and scores.

    Args:
        data: the test splits of all tasks.
    """
    loaded = load_model(model, settings.compute)
    tasks = [read_task(path) for path in data]
    passes = Passes(batch_size=settings.evaluation.batch_size, batch_tokens=settings.batch_tokens)
    frames = [tested_frame(loaded, tasks, settings.examples, passes)]
    for task in tasks:
        if task.key in settings.scored and settings.scored_examples:
            examples = task.encoded(loaded.tokenizer)[: settings.scored_examples]
            frames.append(score_rows(loaded, task, examples, settings.evaluation))
    provenance = {
        "spec": settings.spec(),
        "model": loaded.identity,
        "state": loaded.provenance.get("state"),
        "seed": loaded.provenance.get("seed"),
        "trained_on": list(loaded.provenance.get("data", {})),
        "dtype": loaded.compute.dtype_name,
    }
    write_frame(tested, pd.concat(frames, ignore_index=True), "tested model", provenance)
