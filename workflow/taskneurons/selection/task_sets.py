"""A task's sets by several rules and references of the scores, at any k, without files of masks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.config.settings import Ablation, StepSettings
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.core.named import named
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison


class TaskSetsSettings(StepSettings):
    """What the sets depend on.

    Attributes:
        task: whose sets they are.
        rules: files of `rules/` that look at the scores.
        families: task → family of all tasks.
        scope: of the rules' top k: global or per-layer.
    """

    task: str
    rules: list[str]
    families: dict[str, str]
    scope: str


@dataclass(frozen=True)
class TaskSets:
    """The scores of all tasks by both references, and the sets of one task that follow from them.

    Attributes:
        values: reference → (n_tasks, n_neurons).
        made: reference → the provenance of the task's own scores.
    """

    settings: TaskSetsSettings
    values: dict[Ablation, np.ndarray]
    made: dict[Ablation, dict[str, Any]]

    def own_scores(self, reference: Ablation) -> np.ndarray:
        """The task's own scores, (n_neurons,)."""
        return self.values[reference][list(self.settings.families).index(self.settings.task)]

    def at(self, rule: str, reference: Ablation, k: float) -> NeuronSet:
        """The k % that a rule chooses, which fit the model that was scored; none at k = 0."""
        made = self.made[reference]
        widths, model = tuple(made["widths"]), made["model"]
        if k == 0:
            return NeuronSet(np.zeros(sum(widths), dtype=bool), widths, model)
        families = self.settings.families
        own = list(families).index(self.settings.task)
        compared = Comparison(
            self.values[reference], own, list(families.values()), widths, self.settings.scope, core_share=100
        )
        return NeuronSet(named("selection.rules", rule).select(compared, k).selected, widths, model)


def read_task_sets(settings: TaskSetsSettings, scores: list[Path], scores_from_mean: list[Path]) -> TaskSets:
    """The sets of a task.

    Args:
        scores, scores_from_mean: of all tasks, by each reference.

    Raises:
        UserError: a task's file is missing, or as `read_frame` does.
    """
    files: dict[Ablation, list[Path]] = {"zero": scores, "mean": scores_from_mean}
    values, made = {}, {}
    for reference, paths in files.items():
        found = {}
        for path in paths:
            frame, provenance = read_frame(path, "scores")
            found[provenance["task"]] = frame["score"].to_numpy(), provenance
        if missing := [task for task in settings.families if task not in found]:
            raise UserError(f"no file of scores by the reference {reference} is of the task {missing[0]!r}")
        values[reference] = np.stack([found[task][0] for task in settings.families])
        made[reference] = found[settings.task][1]
    return TaskSets(settings, values, made)
