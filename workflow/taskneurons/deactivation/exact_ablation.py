"""The exact effect of switching single neurons off, which the criteria estimate."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from taskneurons.config.settings import Scoring
from taskneurons.core.progress import progress
from taskneurons.data.batches import by_length, in_halves
from taskneurons.data.encoding import Pair, collate, sample_losses
from taskneurons.deactivation.switch_off import deactivated_by_row
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.mean_outputs import MeanOutputs


def sampled_neurons(index: pd.DataFrame, layers: int, number: int, seed: int) -> pd.DataFrame:
    """Neurons to try: about `number`, equally many of each of `layers` layers that lie evenly from bottom to top.

    Args:
        index: all neurons of the model, as `neuron_index` gives them.

    Returns:
        Their rows of `index`.
    """
    sizes = index["layer"].value_counts()
    chosen = np.unique(np.linspace(0, len(sizes) - 1, min(layers, len(sizes))).round().astype(int))
    rng = np.random.default_rng(seed)
    each = -(-number // len(chosen))
    positions = [
        rng.choice(np.flatnonzero(index["layer"] == layer), min(each, sizes[layer]), replace=False) for layer in chosen
    ]
    return index.loc[np.sort(np.concatenate(positions))]


@torch.no_grad()
def loss_changes(
    loaded: LoadedModel,
    pairs: list[Pair],
    neurons: Sequence[int],
    settings: Scoring,
    means: MeanOutputs | None = None,
) -> np.ndarray:
    """L_s(ω_j = 0, or ω̄_j where there are means) − L_s of every sample s and neuron j, (samples, neurons), float64.

    Each sample is repeated in a batch, with another neuron switched off in each row and none in the first, so that what
    rounding does to a batch of that shape is in both losses.

    Args:
        neurons: their positions among all neurons of the model.
    """
    changes = np.zeros((len(pairs), len(neurons)))
    for sample, pair in progress(enumerate(pairs), "exact ablation", len(pairs)):

        def changed(rows: list[int], pair: Pair = pair) -> torch.Tensor:
            batch = collate([pair] * (1 + len(rows)), loaded.compute.device)
            off = [None, *(neurons[row] for row in rows)]
            with loaded.compute.autocast(), deactivated_by_row(loaded.model, off, means):
                losses = sample_losses(loaded.model, batch, settings.loss).cpu().double()
            return losses[1:] - losses[0]

        length = len(pair[0]) + len(pair[1])
        batch_size, batch_tokens = settings.batch_size - 1, settings.batch_tokens - length
        for batch in by_length([length] * len(neurons), batch_size, batch_tokens):
            for rows, found in in_halves(batch, changed):
                changes[sample, rows] = found.numpy()
    return changes


def exact_effect(changes: np.ndarray, aggregation: str) -> np.ndarray:
    """The effect of each neuron with the score's own aggregation: mean over samples of |change|, or |mean change|.

    Switching a neuron off at single tokens is not what any of the sets does; so the per-token aggregation is compared
    with the mean of |change| too.

    Args:
        changes: (samples, neurons).
        aggregation: "sample", "token" or "total".
    """
    return np.abs(changes.mean(axis=0)) if aggregation == "total" else np.abs(changes).mean(axis=0)
