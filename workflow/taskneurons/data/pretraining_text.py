"""Write the pre-training text of the embedded base model: plain sentences drawn from the suite."""

from pathlib import Path

import pandas as pd

from taskneurons.config.settings import StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.data.suite.generator import pretraining_text


class PretrainingTextSettings(StepSettings):
    """What the pre-training text depends on; `tasks` are names of the suite."""

    tasks: list[str]
    documents_per_task: int
    seed: int


def main(settings: PretrainingTextSettings, *, text: Path) -> None:
    """Write the documents."""
    documents = pretraining_text(settings.tasks, settings.documents_per_task, settings.seed)
    write_frame(text, pd.DataFrame({"text": documents}), "pre-training text", {"spec": settings.spec()})
