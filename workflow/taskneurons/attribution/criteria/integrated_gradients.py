"""Gradients integrated from a layer that is off to the layer as it is."""

import numpy as np
import torch

from taskneurons.attribution.measuring import CriterionSettings, mean_over_samples
from taskneurons.attribution.products import changes_of, in_compute_dtype
from taskneurons.data.encoding import Batch, Pair, at_least_float32, sample_losses
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import Site, dense_only, visiting_outputs, widths

MIXTURES = False  # not made for mixtures of experts


def values(loaded: LoadedModel, pairs: list[Pair], settings: CriterionSettings) -> np.ndarray:
    """|Σ_tokens ω · mean over steps of ∂L/∂ω at a scaled ω|, mean over samples; one layer is scaled at a time.

    The path goes from a layer whose neurons are all off to the layer as it is, at the midpoints of `steps` equal parts.
    Where there are means, it begins at them, sinks excepted, and ω − ω̄ is what is scaled.
    Layers that are not in settings.layers get NaN.
    """
    dense_only(loaded.model, "integrated-gradients")
    result = []
    for layer, width in enumerate(widths(loaded.model)):
        if layer not in settings.layers:
            result.append(np.full(width, np.nan))
            continue

        def measure(batch: Batch, layer: int = layer) -> torch.Tensor:
            return in_compute_dtype(loaded, lambda scale: along_path(loaded, batch, layer, settings, scale)).abs()

        result.append(mean_over_samples(loaded, pairs, settings, measure, f"integrated gradients, layer {layer}"))
    return np.concatenate(result)


def along_path(
    loaded: LoadedModel, batch: Batch, layer: int, settings: CriterionSettings, scale: float
) -> torch.Tensor:
    """Σ_tokens ω · mean gradient along the path, of one layer, (B, d_ff)."""
    steps = settings.steps
    change = changes_of(loaded.model, batch, settings.means)
    total = None
    for step in range(steps):
        seen: dict[str, torch.Tensor] = {}

        def scaled(
            site: Site, omega: torch.Tensor, share: float = (step + 0.5) / steps, seen: dict = seen
        ) -> torch.Tensor:
            if site.block != layer:  # in a dense model blocks are layers
                return omega
            seen["change"] = change(site, omega.detach().reshape(*batch.input_ids.shape, -1)).reshape(omega.shape)
            seen["scaled"] = (omega.detach() - (1 - share) * seen["change"]).requires_grad_()
            return seen["scaled"]

        with torch.enable_grad(), visiting_outputs(loaded.model, scaled):
            loss = sample_losses(loaded.model, batch, settings.loss).sum() * scale
        (gradient,) = torch.autograd.grad(loss, seen["scaled"])
        products = at_least_float32(seen["change"]) * at_least_float32(gradient) / scale
        part = Site(layer, None).by_sample(products, *batch.input_ids.shape).sum(dim=1)
        total = part if total is None else total + part
    assert total is not None
    return (total / steps).cpu()
