"""What the criteria share: their settings, means over samples, and reductions of activations."""

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import torch
from pydantic import ConfigDict, Field
from torch import nn

from taskneurons.attribution.products import all_blocks, batch_results
from taskneurons.config.settings import Passes, Scoring
from taskneurons.data.encoding import Batch, Pair, at_least_float32
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import Site, frozen, gates, visiting_outputs
from taskneurons.neurons.mean_outputs import MeanOutputs


class CriterionSettings(Scoring):
    """What a criterion may depend on: the attribution's settings, and a few of its own."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    means: MeanOutputs | None = None
    """What a neuron that is switched off gives: its mean, or zero where there are none."""
    steps: int = 8
    """Of the integrated gradients."""
    layers: list[int] = Field(default=[])
    """The layers that matter; a criterion that is dear leaves the others out."""
    seed: list[int] = Field(default=[0])
    """Of the random criterion, as numpy takes it."""


def mean_over_samples(
    loaded: LoadedModel, pairs: list[Pair], passes: Passes, measure: Callable[[Batch], torch.Tensor], what: str
) -> np.ndarray:
    """The mean over samples of what `measure` gives for each: from (B, n) to (n,)."""
    with frozen(loaded.model):
        parts = batch_results(loaded, pairs, passes, measure, what)
        return sum(values.double().sum(dim=0) for _, values in parts).numpy() / len(pairs)  # type: ignore[union-attr]


@torch.no_grad()
def reduce_activations(
    loaded: LoadedModel, batch: Batch, reduce: Callable[[torch.Tensor], torch.Tensor], of_gates: bool = False
) -> torch.Tensor:
    """The mean over each sample's tokens of `reduce` of ω, or of act(gate): (B, n_neurons), on the CPU."""
    model = loaded.model
    samples, tokens = batch.input_ids.shape
    attended = batch.attention_mask.unsqueeze(-1)  # (B, T, 1)
    found: dict[int, torch.Tensor] = {}

    def take(site: Site, values: torch.Tensor) -> torch.Tensor:
        wide = site.by_sample(reduce(at_least_float32(values)), samples, tokens)  # (B, T, d_ff)
        mask = attended.to(wide.device)
        found[site.block] = ((wide * mask).sum(dim=1) / mask.sum(dim=1)).cpu()
        return values

    def hook_of(block: int) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            take(Site(block, None), output)

        return hook

    with_gates = gates(model) if of_gates else None
    with ExitStack() as stack, loaded.compute.autocast():
        if with_gates is None:
            stack.enter_context(visiting_outputs(model, take))
        else:
            for number, gate in enumerate(with_gates):
                stack.callback(gate.register_forward_hook(hook_of(number)).remove)
        model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, logits_to_keep=1, use_cache=False)
    return all_blocks(model, found)
