"""How much a task suffers when sets of neurons, chosen by several rules for several tasks, are switched off.

One row an example, set and ablation: rule, k, reference (of the scores that chose the set), matching, masked_task,
draw, ablation, n_neurons, measure, id, value. The measure "loss" is the mean loss of the example's target tokens
(nats), of all sets but those in `lossless`; "score" is what the evaluation gives (0–1), for the rules and k in
`scored`. The rule "none" is the model as it is. The matching is "k" for sets of a given size, and "own damage" for
those whose size was chosen to do equal damage to their own task, under one ablation (`selection/equal_damage.py`).
"""

from pathlib import Path
from typing import Any

import pandas as pd

from taskneurons.config.settings import Ablation, DamageExamples, DeviceSettings, Evaluation, Passes, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.core.progress import progress
from taskneurons.data.task import read_task
from taskneurons.deactivation.switch_off import WithSetsOff
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.evaluation.prediction import predict
from taskneurons.models.loaded import load_model
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.mean_outputs import MeanOutputs, read_means
from taskneurons.neurons.neuron_set import NeuronSet


class DamageSettings(StepSettings):
    """What the damage depends on; `batch_tokens` is the attribution's.

    Attributes:
        ablations: how each set is switched off, one way after the other.
        lossless: rule → the k of the sets whose loss is measured elsewhere, so that here their score alone is.
    """

    damage: DamageExamples
    ablations: list[Ablation]
    lossless: dict[str, list[float]]
    evaluation: Evaluation
    batch_tokens: int
    compute: DeviceSettings


Tried = tuple[dict[str, Any], NeuronSet | None]
WHOLE = {"rule": "none", "k": 0.0, "reference": "none", "matching": "none", "masked_task": "none", "draw": 0}


def read_sets(paths: list[Path], ablations: list[Ablation]) -> list[Tried]:
    """The sets with the columns that name them and how they are switched off, the model as it is first."""
    tried: list[Tried] = [({**WHOLE, "ablation": "none"}, None)]
    for path in paths:
        neurons, made = read_mask(path)
        name = {
            "rule": made["rule"],
            "k": float(made["matched_k"] if "matched_k" in made else made["k"]),
            "reference": made.get("reference") or "none",
            "matching": made.get("matching", "k"),
            "masked_task": made["set"],
            "draw": made.get("draw", 0),
        }
        for ablation in ablations:
            if made.get("ablation", ablation) == ablation:
                tried.append(({**name, "ablation": ablation}, neurons))
    return tried


def main(
    settings: DamageSettings, *, model: Path, data: Path, masks: list[Path], means: list[Path], damage: Path
) -> None:
    """Write the losses and scores of a task's test split.

    Args:
        masks: the sets to switch off, one at a time.
        means: the model's mean outputs, where mean ablation is among the ablations.
    """
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    examples = task.encoded(loaded.tokenizer)
    passes = Passes(batch_size=settings.evaluation.batch_size, batch_tokens=settings.batch_tokens)
    pairs = [example.pair for example in examples[: settings.damage.examples]]
    scored, lossless = (
        {(rule, float(k)) for rule, percents in sets.items() for k in percents}
        for sets in (settings.damage.scored, settings.lossless)
    )
    replaced_by: dict[Ablation, MeanOutputs | None] = {"zero": None, "mean": read_means(means)}
    to_score = examples[: settings.damage.scored_examples]
    measured = {
        "loss": WithSetsOff(loaded.model, replaced_by, lambda: target_losses(loaded, pairs, passes, task.key)),
        "score": WithSetsOff(
            loaded.model, replaced_by, lambda: predict(loaded, task, to_score, settings.evaluation)[1]
        ),
    }
    tried = read_sets(masks, settings.ablations)
    frames = []
    for name, neurons in progress(tried, f"damage {task.key}", len(tried)):
        with_score = scored and (name["rule"] == "none" or (name["rule"], name["k"]) in scored)
        with_loss = (name["rule"], name["k"]) not in lossless
        for measure in ["loss"] * with_loss + ["score"] * bool(with_score):
            values = measured[measure].values(neurons, "zero" if neurons is None else name["ablation"])
            columns = {"measure": measure, "id": range(len(values)), "value": values}
            size = 0 if neurons is None else len(neurons)
            frames.append(pd.DataFrame({**name, "n_neurons": size, **columns}))
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task)}
    write_frame(damage, pd.concat(frames, ignore_index=True), "damage", provenance)
