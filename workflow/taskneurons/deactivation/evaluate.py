"""Evaluate one model on one task under many conditions: as it is, and with each given set of neurons switched off.

Writes one row an example and condition: condition (the name of the set, "none" for the model as it is), id,
prediction, score (0–1: correct or not, or ROUGE-L F1). Other tasks' sets (the cross-task matrix) may be limited to the
first examples.
"""

from pathlib import Path

from taskneurons.config.settings import DeviceSettings, EvaluationSection, StepSettings
from taskneurons.core.errors import UserError
from taskneurons.core.progress import progress
from taskneurons.data.task import read_task
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.evaluation.prediction import predict, predictions_frame, write_predictions
from taskneurons.models.loaded import load_model
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.mean_outputs import read_means
from taskneurons.neurons.neuron_set import NeuronSet


class DeactivationSettings(StepSettings):
    """What the predictions depend on; `tasks` are all tasks of the run."""

    evaluation: EvaluationSection
    tasks: list[str]
    compute: DeviceSettings


def read_conditions(paths: list[Path]) -> dict[str, NeuronSet]:
    """The neuron sets by name."""
    conditions = {}
    for path in paths:
        neurons, provenance = read_mask(path)
        if provenance["set"] in conditions:
            raise UserError(f"{path} holds the set {provenance['set']!r}, which another mask holds already")
        conditions[provenance["set"]] = neurons
    return conditions


def main(
    settings: DeactivationSettings, *, model: Path, data: Path, masks: list[Path], means: list[Path], predictions: Path
) -> None:
    """Write the predictions on a task's test split.

    Args:
        masks: the sets to switch off, one at a time.
        means: the model's mean outputs for mean ablation, none for zero ablation.
    """
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    examples = task.encoded(loaded.tokenizer)
    conditions: dict[str, NeuronSet | None] = {"none": None, **read_conditions(masks)}
    replaced_by = read_means(means)
    frames = []
    for name, neurons in progress(conditions.items(), f"deactivation {task.key}", len(conditions)):
        of_another_task = name in settings.tasks and name != task.key
        limit = settings.evaluation.cross_task_examples if of_another_task else None
        with deactivated(loaded.model, neurons, replaced_by):
            found, scores = predict(loaded, task, examples[:limit], settings.evaluation)
        frames.append(predictions_frame(name, found, scores))
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task)}
    write_predictions(predictions, frames, task, examples, provenance)
