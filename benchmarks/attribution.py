"""Cost of the attribution scores: against the bound that they cannot go below, and against captum.

The bound is the same model's own graph: forward with the vocabulary head at target positions and the backward of
activations, without scoring. captum's LayerGradientXActivation gets the same loss function on the same frozen model:
all layers in one call (captum-list), layer by layer (captum-layers), and all layers with the head at all positions,
as it is used without more ado (captum-as-used).
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from captum.attr import LayerGradientXActivation
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from common import benchmark, in_fresh_process, print_memory_of, row, seconds, timed
from geometry import CPU, GEOMETRY, build, examples
from taskneurons.attribution.products import neuron_outputs
from taskneurons.attribution.scores import attribute
from taskneurons.config.settings import Scoring
from taskneurons.data.encoding import Pair, collate, sample_losses
from taskneurons.deactivation.exact_ablation import loss_changes, sampled_neurons
from taskneurons.deactivation.switch_off import deactivated_by_row
from taskneurons.models.loaded import LoadedModel, native_bfloat16
from taskneurons.neurons.blocks import blocks, widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.neuron_set import top_share

SMALL = {**GEOMETRY, "layers": 2, "d": 64, "d_ff": 172, "vocabulary": 512, "tokens": 16, "targets": 4}


def ours(loaded: LoadedModel, pairs: list[Pair], replicates: int = 0) -> Any:
    """Scores of all neurons, as the workflow makes them; with so many weighted sums beside the whole one."""
    settings = Scoring(batch_size=GEOMETRY["batch"], batch_tokens=1 << 20)
    return attribute(loaded, pairs, settings, np.ones((replicates, len(pairs))), None)


def bound(loaded: LoadedModel, pairs: list[Pair]) -> Any:
    """Forward and activation-only backward, without scoring."""
    with neuron_outputs(loaded.model) as outputs:
        total = sample_losses(loaded.model, collate(pairs, CPU)).sum()
        return torch.autograd.grad(total, outputs[0][1])


def losses_with_full_head(model: PreTrainedModel, pairs: list[Pair]) -> torch.Tensor:
    """L of each sample with logits at all positions."""
    batch = collate(pairs, CPU)
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).logits
    losses = cross_entropy(logits[batch.predicts], batch.targets, reduction="none")
    return losses.new_zeros(len(pairs)).index_add(0, batch.rows, losses) / batch.predicts.sum(dim=1)


def captum_list(loaded: LoadedModel, pairs: list[Pair], losses: Callable[..., torch.Tensor] | None = None) -> Any:
    """captum on all layers at once."""
    losses = losses or (lambda model, pairs: sample_losses(model, collate(pairs, CPU)))
    captum = LayerGradientXActivation(
        lambda ids: losses(loaded.model, pairs), [block.module for block in blocks(loaded.model)]
    )
    return captum.attribute(collate(pairs, CPU).input_ids, attribute_to_layer_input=True)


def captum_layers(loaded: LoadedModel, pairs: list[Pair]) -> Any:
    """captum on one layer after the other."""
    for block in blocks(loaded.model):
        captum = LayerGradientXActivation(lambda ids: sample_losses(loaded.model, collate(pairs, CPU)), block.module)
        captum.attribute(collate(pairs, CPU).input_ids, attribute_to_layer_input=True)


# Name → geometry, examples that are made, how many of them are scored, and how. What is made counts for nothing, but
# leaves less of the heap free: that has to be alike for few and many.
MEASURED = {
    "ours": (GEOMETRY, 16, 16, ours),
    "bound": (GEOMETRY, 16, 16, bound),
    "captum-list": (GEOMETRY, 16, 16, captum_list),
    "100-samples": (SMALL, 10000, 100, ours),
    "10000-samples": (SMALL, 10000, 10000, ours),
}


def measure(what: str) -> None:
    """Print the memory of one rival, in a process of its own."""
    geometry, made, scored, work = MEASURED[what]
    loaded, pairs = build(geometry), examples(geometry, made)
    print_memory_of(lambda: work(loaded, pairs[:scored]))


def time_rows() -> list[dict[str, Any]]:
    loaded, pairs = build(GEOMETRY), examples(GEOMETRY, GEOMETRY["batch"])
    own = partial(ours, loaded, pairs)
    replicated = partial(ours, loaded, pairs, replicates=150)  # the default's bootstrap and stability subsets
    layers = GEOMETRY["layers"]
    return [
        timed("time/bound", 1.05, own, partial(bound, loaded, pairs)),
        timed("time/captum-list", 1.05, own, partial(captum_list, loaded, pairs)),
        timed("time/captum-layers", 1 / (0.65 * layers), own, partial(captum_layers, loaded, pairs)),
        timed("time-with-replicates/without", None, replicated, own),
        timed("time/captum-as-used", None, own, partial(captum_list, loaded, pairs, losses_with_full_head)),
    ]


def linear_row() -> dict[str, Any]:
    """Seconds a sample at 10,000 samples over those at 1,000."""
    loaded, pairs = build(SMALL), examples(SMALL, 10000)
    ours(loaded, pairs[:1000])
    times = [
        (seconds(lambda: ours(loaded, pairs)) / 10000, seconds(lambda: ours(loaded, pairs[:1000])) / 1000)
        for _ in range(3)
    ]
    ratio = median(many / few for many, few in times)
    many, few = (median(column) for column in zip(*times, strict=True))
    return row("time/linear", 1.05, ratio, many, few, "s a sample", geometry=SMALL)


def bfloat16_rows() -> list[dict[str, Any]]:
    """Time in bfloat16 over float32, a goal where the CPU has units for it; and the overlap of the top 10 %."""
    narrow, wide, pairs = build(GEOMETRY, torch.bfloat16), build(GEOMETRY), examples(GEOMETRY, GEOMETRY["batch"])
    sizes = tuple(widths(wide.model))
    top = [top_share(ours(model, pairs).score, 10, sizes) for model in (narrow, wide)]
    goal = 0.5 if native_bfloat16(CPU) else None
    time = timed("time/bf16-over-fp32", goal, partial(ours, narrow, pairs), partial(ours, wide, pairs))
    jaccard = top[0].jaccard(top[1])
    return [time, row("jaccard/bf16-top10-with-fp32", None, jaccard, jaccard, 1.0, "Jaccard index")]


def exact_ablation_row() -> dict[str, Any]:
    """One example repeated over 16 ablated neurons (and as it is), against one forward of it a neuron."""
    loaded, pairs = build(GEOMETRY), examples(GEOMETRY, 1)
    sampled = sampled_neurons(neuron_index(widths(loaded.model)), GEOMETRY["layers"], 16, seed=0)
    neurons = sampled.index.tolist()
    settings = Scoring(batch_size=1 + len(neurons), batch_tokens=1 << 20)

    @torch.no_grad()
    def one_by_one() -> None:
        for neuron in neurons:
            with deactivated_by_row(loaded.model, [neuron]):
                sample_losses(loaded.model, collate(pairs, CPU))

    return timed("time/exact-ablation", None, partial(loss_changes, loaded, pairs, neurons, settings), one_by_one)


def memory_rows() -> list[dict[str, Any]]:
    found = {what: in_fresh_process(__file__, what) for what in MEASURED}
    rivals = (("captum-list", 1.02), ("bound", 1.25))
    rows = [
        row(f"memory/{rival}", goal, found["ours"] / found[rival], found["ours"], found[rival], "MiB")
        for rival, goal in rivals
    ]
    many, few = found["10000-samples"], found["100-samples"]
    return [*rows, row("memory/10000-over-100-samples", 1.05, many / few, many, few, "MiB", geometry=SMALL)]


def rows() -> list[dict[str, Any]]:
    return [*time_rows(), linear_row(), *bfloat16_rows(), exact_ablation_row(), *memory_rows()]


if __name__ == "__main__":
    benchmark("attribution", __doc__, GEOMETRY, rows, list(MEASURED), measure)
