"""The norm of the loss gradient at a neuron's output."""

import numpy as np
import torch

from taskneurons.attribution.measuring import CriterionSettings, mean_over_samples
from taskneurons.attribution.products import in_compute_dtype, reduce_gradients
from taskneurons.data.encoding import Batch, Pair
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import Site

MIXTURES = True


def values(loaded: LoadedModel, pairs: list[Pair], settings: CriterionSettings) -> np.ndarray:
    """‖∂L/∂ω_j‖ over the positions of a sample's target-loss tokens, mean over samples."""

    def measure(batch: Batch) -> torch.Tensor:
        positions = batch.predicts.unsqueeze(-1)

        def norm(site: Site, omega: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
            return (gradient * positions.to(gradient.device)).norm(dim=1)

        return in_compute_dtype(
            loaded,
            lambda scale: reduce_gradients(loaded.model, batch, norm, settings.loss, scale) / scale,
        )

    return mean_over_samples(loaded, pairs, settings, measure, "gradient norm")
