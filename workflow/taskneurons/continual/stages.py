"""What all steps of continual learning share: their settings, and the files that they read."""

from pathlib import Path
from types import ModuleType

from taskneurons.config.settings import DeviceSettings, StepSettings
from taskneurons.continual.method import Lesson, Settings
from taskneurons.core.artifacts import read_frame
from taskneurons.core.named import named
from taskneurons.data.task import Task, read_task
from taskneurons.models.loaded import LoadedModel

METHODS = "continual.methods"
STATE = "state of a stage"


class StageSettings(StepSettings):
    """What a stage depends on.

    Attributes:
        method: a file of `continual/methods/`.
        tasks: the sequence so far.
        percent, scope: of the neurons that a task trains; None of a method that chooses none.
        seed: the training's.
    """

    method: str
    tasks: list[str]
    percent: float | None
    scope: str | None
    seed: int
    compute: DeviceSettings

    @property
    def module(self) -> ModuleType:
        """The method."""
        return named(METHODS, self.method)

    def of_method(self, knob: float | None) -> Settings:
        """What the method's functions take of them."""
        return Settings(self.percent or 0.0, self.scope or "", knob, self.seed)


def splits_of(paths: list[Path]) -> dict[str, Task]:
    """Task → its split."""
    return {task.key: task for task in map(read_task, paths)}


def lessons_of(tasks: list[str], data: dict[str, Task], scores: list[Path], base: LoadedModel) -> list[Lesson]:
    """What there is to learn the tasks from.

    Args:
        data: the train splits of those whose examples are needed.
        scores: of those whose scores are needed, by the base model.
    """
    found = {}
    for path in scores:
        frame, provenance = read_frame(path, "scores")
        found[provenance["task"]] = frame["score"].to_numpy()
    return [
        Lesson(
            task,
            [example.pair for example in data[task].encoded(base.tokenizer)] if task in data else [],
            found.get(task),
        )
        for task in tasks
    ]
