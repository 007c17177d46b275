"""Fine-tune the base model on all tasks at once: the paper's "original" model (section 2)."""

import logging
from pathlib import Path

from taskneurons.config.settings import DeviceSettings, LoopSettings, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.core.content import content_hash
from taskneurons.data.labels import label_tokens
from taskneurons.data.task import read_task
from taskneurons.models.loaded import load_model, save_model
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import WholeModel, summary, train

log = logging.getLogger(__name__)


class FineTuningSettings(StepSettings):
    """What a fine-tuning of the whole model depends on."""

    training: LoopSettings
    seed: int
    compute: DeviceSettings


class MultitaskSettings(FineTuningSettings):
    """What the multi-task training depends on; `tasks` in the order of the data."""

    tasks: list[str]


def fine_tune(
    settings: FineTuningSettings,
    state: str,
    *,
    base: Path,
    data: list[Path],
    validation: list[Path],
    checkpoint: Path,
    metrics: Path,
    model: Path,
) -> None:
    """Fine-tune all parameters of the base model on some tasks together.

    Args:
        state: what kind of model comes of it: multitask, or single-task.
        base: the base model's folder.
        data, validation: the train and validation split of every task; no validation where the training watches none.
        checkpoint: where the training's state is kept, to go on after a kill.
        metrics: the training's history, to write.
        model: the fine-tuned model's folder, to write.
    """
    loaded = load_model(base, settings.compute)
    tasks = [read_task(path) for path in data]
    for task in tasks:
        label_tokens(loaded.tokenizer, task)  # labels that cannot be told apart are better told before the training
    pairs = [example.pair for task in tasks for example in task.encoded(loaded.tokenizer)]
    watched = [read_task(path).encoded(loaded.tokenizer)[: settings.training.validation] for path in validation]
    validation_pairs = [example.pair for examples in watched for example in examples]
    log.info("%d examples of %d tasks", len(pairs), len(tasks))
    provenance = {
        "parent": loaded.identity,
        "data": {task.key: task.data_hash for task in tasks},
        "spec": settings.spec(),
        "seed": settings.seed,
        "dtype": loaded.compute.dtype_name,
    }
    kept = Checkpoint(checkpoint, content_hash([provenance, validation_pairs]))
    history = train(
        loaded.model,
        WholeModel(loaded.model),
        pairs,
        settings.training,
        loaded.compute,
        settings.seed,
        f"{state} training",
        validation_pairs,
        kept,
    )
    write_frame(metrics, history, "training", provenance)
    save_model(model, loaded.model, loaded.tokenizer, {"state": state, **provenance, **summary(history)})
    kept.remove()


def main(
    settings: MultitaskSettings,
    *,
    base: Path,
    data: list[Path],
    validation: list[Path],
    checkpoint: Path,
    metrics: Path,
    model: Path,
) -> None:
    """Fine-tune the base model on all tasks; the files are those of `fine_tune`."""
    fine_tune(
        settings,
        "multitask",
        base=base,
        data=data,
        validation=validation,
        checkpoint=checkpoint,
        metrics=metrics,
        model=model,
    )
