"""Evaluate the base model on one task with each of the deltas of neuron tuning in it, one at a time.

Writes the columns of an evaluation. A condition is the trained set's name (the task whose neurons they are, or a random
draw); `<set>-on-<task>` for a task's neurons that were trained on another task's data; `top<k>` where the sets are one
task's at several k.
"""

from pathlib import Path
from typing import Any, Literal

from taskneurons.config.settings import DeviceSettings, EvaluationSection, StepSettings, percent_text
from taskneurons.core.errors import UserError
from taskneurons.core.progress import progress
from taskneurons.data.task import read_task
from taskneurons.evaluation.prediction import predict, predictions_frame, write_predictions
from taskneurons.models.loaded import load_model
from taskneurons.tuning.delta import Delta, read_delta, with_delta


class TunedSettings(StepSettings):
    """What the predictions depend on; `named_by` says what tells the deltas apart."""

    evaluation: EvaluationSection
    named_by: Literal["set", "k"]
    compute: DeviceSettings


def is_crossed(delta: Delta) -> bool:
    """Whether a task's neurons were trained on another task's data."""
    made = delta.provenance
    return made["rule"] != "random" and made["set"] != made["task"]


def condition(delta: Delta, named_by: str) -> str:
    """A delta's name among the conditions."""
    made: dict[str, Any] = delta.provenance
    if named_by == "k":
        return f"top{percent_text(made['k'])}"
    return f"{made['set']}-on-{made['task']}" if is_crossed(delta) else made["set"]


def main(settings: TunedSettings, *, base: Path, data: Path, deltas: list[Path], predictions: Path) -> None:
    """Write the predictions on a task's test split.

    Args:
        base: the base model's folder.
        deltas: applied one at a time.
    """
    loaded = load_model(base, settings.compute)
    task = read_task(data)
    examples = task.encoded(loaded.tokenizer)
    frames: dict[str, Any] = {}
    for path in progress(deltas, f"evaluation {task.key}", len(deltas)):
        delta = read_delta(path)
        name = condition(delta, settings.named_by)
        if name in frames:
            raise UserError(f"{path} is of the condition {name!r}, which another delta is of already")
        crossed = delta.provenance["task"] != task.key or is_crossed(delta)
        limit = settings.evaluation.cross_task_examples if crossed else None
        with with_delta(loaded, delta) as tuned:
            found, scores = predict(tuned, task, examples[:limit], settings.evaluation)
        frames[name] = predictions_frame(name, found, scores)
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task)}
    write_predictions(predictions, list(frames.values()), task, examples, provenance)
