"""Evaluate a model as it is: the base model before any training (the zero-shot rows of Tables 2 and 7)."""

from pathlib import Path

from taskneurons.config.settings import DeviceSettings, Evaluation, StepSettings
from taskneurons.data.task import read_task
from taskneurons.evaluation.prediction import predict, predictions_frame, write_predictions
from taskneurons.models.loaded import load_model


class ZeroShotSettings(StepSettings):
    """What the predictions depend on."""

    evaluation: Evaluation
    compute: DeviceSettings


def main(settings: ZeroShotSettings, *, model: Path, data: Path, predictions: Path) -> None:
    """Write the predictions on a task's test split, under the condition "none"."""
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    examples = task.encoded(loaded.tokenizer)
    frame = predictions_frame("none", *predict(loaded, task, examples, settings.evaluation))
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task)}
    write_predictions(predictions, [frame], task, examples, provenance)
