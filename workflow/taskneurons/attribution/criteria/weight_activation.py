"""The product of a neuron's outgoing weights and its output: forward-only."""

import numpy as np
import torch

from taskneurons.attribution.measuring import CriterionSettings, mean_over_samples, reduce_activations
from taskneurons.data.encoding import Batch, Pair
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.matrices import reader_columns

MIXTURES = True


def values(loaded: LoadedModel, pairs: list[Pair], settings: CriterionSettings) -> np.ndarray:
    """Σ_d |W_down[d, j]| times the root mean square of ω_j: forward-only, as in Math Neurosurgery (Christ et al. 2024).

    There the product is of each weight with its input's norm; here a neuron's column is summed.
    """

    def measure(batch: Batch) -> torch.Tensor:
        return reduce_activations(loaded, batch, torch.square)

    squares = mean_over_samples(loaded, pairs, settings, measure, "weight x activation")
    columns = [weight.detach().cpu().abs().sum(dim=0, dtype=torch.float64) for weight in reader_columns(loaded.model)]
    return torch.cat(columns).numpy() * np.sqrt(squares)
