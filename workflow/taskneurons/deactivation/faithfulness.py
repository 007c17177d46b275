"""Faithfulness: how well each criterion tells which neurons matter, against the exact effect of switching each one off.

For a seeded sample of neurons and the first attribution examples of a task: the exact effect on the loss (the truth)
and the value of every criterion, one row a neuron: layer, expert, neuron, exact, and one column a criterion.
"""

from pathlib import Path

import torch

from taskneurons.attribution.measuring import CriterionSettings
from taskneurons.config.settings import DeviceSettings, Sampling, Scoring, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.core.named import named
from taskneurons.data.task import read_task
from taskneurons.deactivation.exact_ablation import exact_effect, loss_changes, sampled_neurons
from taskneurons.models.loaded import load_model
from taskneurons.neurons.blocks import experts, widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mean_outputs import read_means


class FaithfulnessSettings(StepSettings):
    """What the comparison depends on; `criteria` are the names of the files in `attribution/criteria/`."""

    faithfulness: Sampling
    attribution: Scoring
    criteria: list[str]
    seed: int
    compute: DeviceSettings


def main(settings: FaithfulnessSettings, *, model: Path, data: Path, means: list[Path], faithfulness: Path) -> None:
    """Write the comparison on a task's attribution split.

    Args:
        means: the model's mean outputs for mean ablation, none for zero ablation; the criteria that look at what an
            ablation changes look at the same one.
    """
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    wanted = settings.faithfulness
    pairs = [example.pair for example in task.encoded(loaded.tokenizer)[: wanted.examples]]
    index = neuron_index(widths(loaded.model), experts(loaded.model))
    neurons = sampled_neurons(index, wanted.layers, wanted.neurons, settings.seed)
    frame = neurons.reset_index(drop=True)
    # What single neurons do to the loss is smaller than what narrow numbers tell apart: the truth is in float32.
    in_float32 = settings.compute.model_copy(update={"dtype": "float32", "weights": "float32"})
    exactly = loaded if loaded.compute.dtype == torch.float32 else load_model(model, in_float32)
    replaced_by = read_means(means)
    changes = loss_changes(exactly, pairs, neurons.index.tolist(), settings.attribution, replaced_by)
    frame["exact"] = exact_effect(changes, settings.attribution.aggregation)
    state = loaded.provenance["state"]
    given = CriterionSettings(
        **settings.attribution.model_dump(),
        means=replaced_by,
        steps=wanted.steps,
        layers=sorted(map(int, set(neurons["layer"]))),
        # The random criterion draws anew for each model and task: one draw for all would look like a finding.
        seed=[settings.seed, *f"{state}/{task.key}".encode()],
    )
    mixture = any(number is not None for number in experts(loaded.model))
    for name in settings.criteria:
        criterion = named("attribution.criteria", name)
        if criterion.MIXTURES or not mixture:
            frame[name] = criterion.values(loaded, pairs, given)[neurons.index]
    provenance = {
        "spec": settings.spec(),
        **loaded.provenance_on(task),
        "state": state,
        "n_examples": len(pairs),
    }
    write_frame(faithfulness, frame, "faithfulness", provenance)
