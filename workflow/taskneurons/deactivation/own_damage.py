"""What a task's own sets cost it on its validation examples, for the sets of equal own damage.

One row an example, rule, reference (of the scores that chose the set), ablation and k of the grid: n_neurons, id and
value, the mean loss of the example's target tokens in nats. The rule "none" at k = 0 is the model as it is. The test
split stays untouched: `selection/equal_damage.py` chooses sets by these losses.
"""

from pathlib import Path

import pandas as pd

from taskneurons.config.settings import Ablation, DeviceSettings, Passes
from taskneurons.core.artifacts import write_frame
from taskneurons.core.progress import progress
from taskneurons.data.task import read_task
from taskneurons.deactivation.switch_off import WithSetsOff
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.models.loaded import load_model
from taskneurons.neurons.mean_outputs import MeanOutputs, read_means
from taskneurons.selection.task_sets import TaskSetsSettings, read_task_sets


class OwnDamageSettings(TaskSetsSettings):
    """What the losses depend on.

    Attributes:
        grid: the k, in percent.
        examples: how many validation examples.
    """

    grid: list[float]
    examples: int
    passes: Passes
    compute: DeviceSettings


def main(
    settings: OwnDamageSettings,
    *,
    model: Path,
    data: Path,
    scores: list[Path],
    scores_from_mean: list[Path],
    means: list[Path],
    own_damage: Path,
) -> None:
    """Write the losses of a task's validation split.

    Args:
        scores, scores_from_mean: of all tasks, by each reference.
        means: the model's mean outputs.
    """
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    pairs = [example.pair for example in task.encoded(loaded.tokenizer)[: settings.examples]]
    sets = read_task_sets(settings, scores, scores_from_mean)
    replaced_by: dict[Ablation, MeanOutputs | None] = {"zero": None, "mean": read_means(means)}
    losses = WithSetsOff(loaded.model, replaced_by, lambda: target_losses(loaded, pairs, settings.passes, task.key))
    references: tuple[Ablation, ...] = ("zero", "mean")
    chosen = [(rule, reference, k) for rule in settings.rules for reference in references for k in settings.grid]

    def rows(found: list[float], rule: str, reference: str, ablation: str, k: float, n_neurons: int) -> pd.DataFrame:
        named = {"rule": rule, "reference": reference, "ablation": ablation, "k": k, "n_neurons": n_neurons}
        return pd.DataFrame({**named, "id": range(len(found)), "value": found})

    frames = [rows(losses.values(None), "none", "none", "none", 0.0, 0)]
    for rule, reference, k in progress(chosen, f"own damage {task.key}", len(chosen)):
        neurons = sets.at(rule, reference, k)
        for ablation in replaced_by:
            frames.append(rows(losses.values(neurons, ablation), rule, reference, ablation, k, len(neurons)))
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task)}
    write_frame(own_damage, pd.concat(frames, ignore_index=True), "own damage", provenance)
