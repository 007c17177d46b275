"""The relevance of a neuron's parameters."""

import numpy as np
import torch

from taskneurons.attribution.measuring import CriterionSettings, mean_over_samples
from taskneurons.attribution.products import in_compute_dtype
from taskneurons.data.encoding import Batch, Pair, at_least_float32, sample_losses
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.matrices import matrices

MIXTURES = False  # not made for mixtures of experts


def values(loaded: LoadedModel, pairs: list[Pair], settings: CriterionSettings) -> np.ndarray:
    """Σ |w·∂L/∂w| over neuron j's parameters (its rows and biases of the writers, its column of the reader), mean over
    samples. It computes the gradients of the FFN weights, one sample at a time.
    """
    model = loaded.model
    by_layer = [
        [entry for matrix in layer for entry in matrix.neuron_parameters().values()] for layer in matrices(model)
    ]
    weights = [parameter for layer in by_layer for parameter, _ in layer]

    def measure(batch: Batch) -> torch.Tensor:
        for weight in weights:
            weight.requires_grad_(True)  # as before after the last batch, which mean_over_samples sees to
        return in_compute_dtype(loaded, lambda scale: sums(batch, scale) / scale)

    def sums(batch: Batch, scale: float) -> torch.Tensor:
        with torch.enable_grad():
            total = sample_losses(model, batch, settings.loss).sum() * scale
        gradients = iter(torch.autograd.grad(total, weights))
        layers = []
        for layer, width in zip(by_layer, widths(model), strict=True):
            neurons = torch.zeros(width, dtype=torch.float64)
            for parameter, axis in layer:
                terms = at_least_float32(parameter.detach()) * at_least_float32(next(gradients))
                terms = terms.abs().movedim(axis, 0)
                # Gate and up in one matrix: its neurons come twice along the axis.
                neurons += terms.reshape(len(terms), -1).sum(dim=1).view(-1, width).sum(dim=0).cpu()
            layers.append(neurons)
        return torch.cat(layers).unsqueeze(0)

    return mean_over_samples(loaded, pairs, settings.model_copy(update={"batch_size": 1}), measure, "parameters")
