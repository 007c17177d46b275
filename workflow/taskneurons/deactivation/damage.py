"""How much a task suffers when sets of neurons, chosen by several rules for several tasks, are switched off.

One row an example and set: rule, k, masked_task, draw, measure, id, value. The measure "loss" is the mean loss of the
example's target tokens (nats); "score" is what the evaluation gives (0–1), for the rules and k in `scored`. The rule
"none" is the model as it is.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from taskneurons.attribution.products import batch_results
from taskneurons.config.settings import DamageExamples, DeviceSettings, Evaluation, Passes, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.core.progress import progress
from taskneurons.data.encoding import Batch, Pair, sample_losses
from taskneurons.data.task import read_task
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.evaluation.prediction import predict
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.neuron_set import NeuronSet


class DamageSettings(StepSettings):
    """What the damage depends on; `batch_tokens` is the attribution's."""

    damage: DamageExamples
    evaluation: Evaluation
    batch_tokens: int
    compute: DeviceSettings


@torch.no_grad()
def target_losses(loaded: LoadedModel, pairs: list[Pair], passes: Passes) -> list[float]:
    """L of every example: the mean loss of its target tokens, in nats."""

    def losses(batch: Batch) -> torch.Tensor:
        with loaded.compute.autocast():
            return sample_losses(loaded.model, batch).double().cpu()

    found = [0.0] * len(pairs)
    for rows, values in batch_results(loaded, pairs, passes, losses, None):
        for row, value in zip(rows, values.tolist(), strict=True):
            found[row] = value
    return found


def read_sets(paths: list[Path]) -> list[tuple[dict[str, Any], NeuronSet | None]]:
    """The sets with what names them (rule, k, masked_task, draw), the model as it is first."""
    nothing = {"rule": "none", "k": 0.0, "masked_task": "none", "draw": 0}
    sets: list[tuple[dict[str, Any], NeuronSet | None]] = [(nothing, None)]
    for path in paths:
        neurons, provenance = read_mask(path)
        name = {"rule": provenance["rule"], "k": float(provenance["k"]), "masked_task": provenance["set"]}
        sets.append(({**name, "draw": provenance.get("draw", 0)}, neurons))
    return sets


def main(settings: DamageSettings, *, model: Path, data: Path, masks: list[Path], damage: Path) -> None:
    """Write the losses and scores of a task's test split.

    Args:
        masks: the sets to switch off, one at a time.
    """
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    examples = task.encoded(loaded.tokenizer)
    passes = Passes(batch_size=settings.evaluation.batch_size, batch_tokens=settings.batch_tokens)
    pairs = [example.pair for example in examples[: settings.damage.examples]]
    scored = {(rule, float(k)) for rule, percents in settings.damage.scored.items() for k in percents}
    sets = read_sets(masks)
    known: dict[tuple[str, bytes], list[float]] = {}  # equal sets, as the shared core of every task, are tried once

    def measured(measure: str, neurons: NeuronSet | None) -> list[float]:
        key = (measure, b"" if neurons is None else neurons.selected.tobytes())
        if key not in known:
            with deactivated(loaded.model, neurons):
                if measure == "loss":
                    known[key] = target_losses(loaded, pairs, passes)
                else:
                    first = examples[: settings.damage.scored_examples]
                    known[key] = predict(loaded, task, first, settings.evaluation)[1]
        return known[key]

    frames = []
    for name, neurons in progress(sets, f"damage {task.key}", len(sets)):
        with_score = scored and (name["rule"] == "none" or (name["rule"], name["k"]) in scored)
        for measure in ("loss", "score") if with_score else ("loss",):
            values = measured(measure, neurons)
            columns = {"measure": measure, "id": range(len(values)), "value": values}
            size = 0 if neurons is None else len(neurons)
            frames.append(pd.DataFrame({**name, "n_neurons": size, **columns}))
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task)}
    write_frame(damage, pd.concat(frames, ignore_index=True), "damage", provenance)
