"""What sets of growing size do together, beside what first-order scores predict of them.

Sets by a task's own top share, by contrast and at random are switched off, and kept while all other FFN neurons are
switched off. The scores that choose them have the ablation's own reference: zero for zero ablation, the mean output for
mean ablation. The sets are made here, of the stored scores by the files of `selection/rules/`: a mask for each of
hundreds of nested sets would be more jobs than science.

One row an example, ablation and set: rule, share (percent of all neurons), draw, n_neurons, id, and in nats
- off: L, the mean loss of the example's target tokens, with the set off;
- kept: L with the set kept and all other FFN neurons off;
- signed: −Σ_j Σ_t ω_j·∂L/∂ω_j, under mean ablation −Σ_j Σ_t (ω_j − ω̄_j)·∂L/∂ω_j with sinks left out: the first-order
  prediction of L's change when the set is switched off;
- absolute: Σ_j |Σ_t …|.
The rule "all" is the set of all neurons: kept, it is the model as it is; off, the model without FFN neurons.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from taskneurons.attribution.products import batch_results, in_compute_dtype, sample_products
from taskneurons.config.settings import Ablation, DeviceSettings, Passes, SetSizes
from taskneurons.core.artifacts import write_frame
from taskneurons.core.progress import progress
from taskneurons.data.encoding import Batch, Pair
from taskneurons.data.task import read_task
from taskneurons.deactivation.switch_off import WithSetsOff
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.blocks import frozen
from taskneurons.neurons.mean_outputs import MeanOutputs, read_means
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.growing_sets import growing_sets
from taskneurons.selection.task_sets import TaskSetsSettings, read_task_sets


class SetEffectsSettings(TaskSetsSettings):
    """What the effects depend on."""

    set_faithfulness: SetSizes
    passes: Passes
    seed: int
    compute: DeviceSettings


def others(neurons: NeuronSet) -> NeuronSet:
    """All neurons that are not in the set."""
    return NeuronSet(~neurons.selected, neurons.widths, neurons.model)


def predicted_changes(
    loaded: LoadedModel, pairs: list[Pair], passes: Passes, sets: list[NeuronSet], means: MeanOutputs | None
) -> tuple[np.ndarray, np.ndarray]:
    """The signed and the absolute sums over each set of an example's products: (n_sets, n_examples) each, float64.

    One gradient pass an example serves all sets.
    """

    def products(batch: Batch) -> torch.Tensor:
        return in_compute_dtype(loaded, lambda scale: sample_products(loaded.model, batch, "mean", scale, means))

    signed, absolute = np.zeros((2, len(sets), len(pairs)))
    with frozen(loaded.model):
        for rows, found in batch_results(loaded, pairs, passes, products, None):
            values = found.double().numpy()
            for number, neurons in enumerate(sets):
                own = values[:, neurons.selected]
                signed[number, rows] = -own.sum(axis=1)
                absolute[number, rows] = np.abs(own).sum(axis=1)
    return signed, absolute


def main(
    settings: SetEffectsSettings,
    *,
    model: Path,
    data: Path,
    scores: list[Path],
    scores_from_mean: list[Path],
    means: list[Path],
    set_effects: Path,
) -> None:
    """Write the effects on a task's test split.

    Args:
        scores, scores_from_mean: of the tasks in `families`, by each reference.
        means: the mean outputs of the model.
    """
    # What small sets do to the loss is smaller than what narrow numbers tell apart.
    in_float32 = settings.compute.model_copy(update={"dtype": "float32", "weights": "float32"})
    loaded = load_model(model, in_float32)
    task, wanted = read_task(data), settings.set_faithfulness
    pairs = [example.pair for example in task.encoded(loaded.tokenizer)[: wanted.examples]]
    sets = read_task_sets(settings, scores, scores_from_mean)
    replaced_by: dict[Ablation, MeanOutputs | None] = {"zero": None, "mean": read_means(means)}
    losses = WithSetsOff(loaded.model, replaced_by, lambda: target_losses(loaded, pairs, settings.passes, task.key))
    frames = []
    for ablation, values in replaced_by.items():
        chosen = growing_sets(sets, ablation, wanted.shares, wanted.random_draws, settings.seed)
        first = chosen[0][3]
        everything = NeuronSet(np.ones_like(first.selected), first.widths, first.model)
        chosen = [("all", 100.0, 0, everything), *chosen]
        of_sets = [neurons for *_, neurons in chosen]
        signed, absolute = predicted_changes(loaded, pairs, settings.passes, of_sets, values)
        told = progress(chosen, f"sets {task.key}, {ablation} ablation", len(chosen))
        for number, (rule, share, draw, neurons) in enumerate(told):
            named = {"ablation": ablation, "rule": rule, "share": share, "draw": draw, "n_neurons": len(neurons)}
            effects = {
                "off": losses.values(neurons, ablation),
                "kept": losses.values(others(neurons), ablation),
                "signed": signed[number],
                "absolute": absolute[number],
            }
            frames.append(pd.DataFrame({**named, "id": range(len(pairs)), **effects}))
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task)}
    write_frame(set_effects, pd.concat(frames, ignore_index=True), "set effects", provenance)
