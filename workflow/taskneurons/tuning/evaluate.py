"""Evaluate the base model on one task with each of the deltas of neuron tuning in it, one at a time.

Writes the columns of an evaluation. A condition is the kind of the trained set and of its learning rate (own-tuned,
random-0-common), of sets that this task's data trained; another task's key, of its own neurons trained on its data;
`<set>-on-<task>` of a task's neurons trained on another task's data; `top<k>` where the sets are one task's at several
k.
"""

from pathlib import Path
from typing import Any, Literal

from taskneurons.config.settings import DeviceSettings, EvaluationSection, StepSettings, percent_text
from taskneurons.core.errors import UserError
from taskneurons.core.progress import progress
from taskneurons.data.task import read_task
from taskneurons.evaluation.prediction import predict, predictions_frame, write_predictions
from taskneurons.models.loaded import load_model
from taskneurons.tuning.delta import CROSSED, Delta, read_delta, with_delta


class TunedSettings(StepSettings):
    """What the predictions depend on; `named_by` says what tells the deltas apart."""

    evaluation: EvaluationSection
    named_by: Literal["set", "k"]
    compute: DeviceSettings


def condition(delta: Delta, named_by: str, tested: str) -> str:
    """A delta's name among the conditions of the task that is tested."""
    made: dict[str, Any] = delta.provenance
    if named_by == "k":
        return f"top{percent_text(made['k'])}"
    if made["set_kind"] == CROSSED:
        return f"{made['set']}-on-{made['task']}"
    if made["task"] != tested:
        return made["task"]
    kind = f"random-{made['draw']}" if made["set_kind"] == "random" else made["set_kind"]
    return f"{kind}-{made['rate']}"


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
    rates: dict[str, float] = {}
    made: dict[tuple[str, int | None], tuple[Any, Any]] = {}  # equal models on equally many examples are tested once
    for path in progress(deltas, f"evaluation {task.key}", len(deltas)):
        delta = read_delta(path)
        name = condition(delta, settings.named_by, task.key)
        if name in frames:
            raise UserError(f"{path} is of the condition {name!r}, which another delta is of already")
        crossed = delta.provenance["task"] != task.key or delta.provenance["set_kind"] == CROSSED
        limit = settings.evaluation.cross_task_examples if crossed else None
        if (delta.result, limit) not in made:
            with with_delta(loaded, delta) as tuned:
                made[delta.result, limit] = predict(tuned, task, examples[:limit], settings.evaluation)
        frames[name] = predictions_frame(name, *made[delta.result, limit])
        rates[name] = delta.provenance["learning_rate"]
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task), "learning_rates": rates}
    write_predictions(predictions, list(frames.values()), task, examples, provenance)
