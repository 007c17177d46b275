"""Test the base model as it is on all tasks of continual learning: zero-shot, from which forward transfer counts."""

from pathlib import Path

import pandas as pd

from taskneurons.config.settings import DeviceSettings, Evaluation, Passes, StepSettings
from taskneurons.continual.stages import splits_of
from taskneurons.continual.test_stage import BEFORE, GENERAL, LABEL, TESTED, plain_texts, right_labels, text_losses
from taskneurons.core.artifacts import write_frame
from taskneurons.models.loaded import load_model

NAME = "zero-shot"


class UntrainedSettings(StepSettings):
    """What the measures depend on; as in `test_stage`."""

    evaluation: Evaluation
    texts: int
    passes: Passes
    compute: DeviceSettings


def main(settings: UntrainedSettings, *, base: Path, tests: list[Path], general: list[Path], tested: Path) -> None:
    """Write the base model's measures, in the form of `test_stage`.

    Args:
        tests: the test splits of all tasks.
        general: the test split whose prompts are the plain texts, if there is one.
    """
    loaded = load_model(base, settings.compute)
    values = {}
    for key, task in splits_of(tests).items():
        prompts = [example.prompt for example in task.encoded(loaded.tokenizer)]
        values[key, LABEL] = right_labels(loaded, task, prompts, settings.evaluation)(list(range(len(prompts))))
    for path in general:
        texts = plain_texts(loaded, splits_of([path]).popitem()[1], settings.texts)
        values["", GENERAL] = text_losses(loaded, texts, settings.passes)(list(range(len(texts))))
    frames = [
        pd.DataFrame({"id": range(len(found)), "value": found, "routed": "", "task": task, "measure": measure})
        for (task, measure), found in values.items()
    ]
    said = {"method": NAME, "sequence": [], "seed": 0, "learning_rate": None, "knob": None}
    said |= {"needs_task_id": False, "keeps_examples": False, "dtype": loaded.compute.dtype_name}
    frame = pd.concat(frames, ignore_index=True).assign(when=BEFORE)
    write_frame(tested, frame, TESTED, {"spec": settings.spec(), **said})
