"""The mean absolute output of a neuron: forward-only."""

import numpy as np
import torch

from taskneurons.attribution.measuring import CriterionSettings, mean_over_samples, reduce_activations
from taskneurons.data.encoding import Batch, Pair
from taskneurons.models.loaded import LoadedModel

MIXTURES = True


def values(loaded: LoadedModel, pairs: list[Pair], settings: CriterionSettings) -> np.ndarray:
    """Mean |ω| over a sample's tokens (prompt and target), mean over samples."""

    def measure(batch: Batch) -> torch.Tensor:
        return reduce_activations(loaded, batch, torch.abs)

    return mean_over_samples(loaded, pairs, settings, measure, "activation")
