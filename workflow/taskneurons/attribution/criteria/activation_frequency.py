"""How often a neuron is active: forward-only."""

import numpy as np
import torch

from taskneurons.attribution.measuring import CriterionSettings, mean_over_samples, reduce_activations
from taskneurons.data.encoding import Batch, Pair
from taskneurons.models.loaded import LoadedModel

MIXTURES = False  # not made for mixtures of experts


def values(loaded: LoadedModel, pairs: list[Pair], settings: CriterionSettings) -> np.ndarray:
    """The share of a sample's tokens with act(gate) > 0 (without a gate: ω > 0), mean over samples."""

    def measure(batch: Batch) -> torch.Tensor:
        return reduce_activations(loaded, batch, lambda values: (values > 0).to(values.dtype), of_gates=True)

    return mean_over_samples(loaded, pairs, settings, measure, "activation frequency")
