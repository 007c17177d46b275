"""Criteria that say how much a task needs a neuron: the paper's score, and its rivals behind the same interface.

A criterion takes a model, a task's examples (prompt ids, target ids) and settings, and gives one value a neuron,
float64 (n_neurons,), larger for more important. Settings are those of the attribution (aggregation, loss, batch_size,
batch_tokens), the steps and layers of the integrated gradients, and the seed of the random criterion.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from taskneurons.attribution import (
    Pair,
    all_blocks,
    attribute,
    batch_results,
    in_compute_dtype,
    reduce_gradients,
)
from taskneurons.encoding import Batch, at_least_float32, sample_losses
from taskneurons.feed_forward import (
    Place,
    dense_only,
    experts,
    gates,
    matrices,
    reader_columns,
    visiting_outputs,
    widths,
)
from taskneurons.models import LoadedModel

Settings = dict[str, Any]
Criterion = Callable[[LoadedModel, list[Pair], Settings], np.ndarray]


def attribution(loaded: LoadedModel, pairs: list[Pair], settings: Settings) -> np.ndarray:
    """The paper's score: |Σ_tokens ω·∂L/∂ω|, mean over samples (or as settings say)."""
    sums = attribute(loaded, pairs, settings, np.zeros((0, len(pairs))), "attribution")
    return np.abs(sums.score) / sums.samples


def _mean_over_samples(
    loaded: LoadedModel, pairs: list[Pair], settings: Settings, measure: Callable[[Batch], torch.Tensor], what: str
) -> np.ndarray:
    """The mean over samples of what `measure` gives for each: from (B, n) to (n,)."""
    loaded.model.requires_grad_(False)
    parts = batch_results(loaded, pairs, settings, measure, what)
    return sum(values.double().sum(dim=0) for _, values in parts).numpy() / len(pairs)  # type: ignore[union-attr]


@torch.no_grad()
def _reduce_activations(
    loaded: LoadedModel, batch: Batch, reduce: Callable[[torch.Tensor], torch.Tensor], of_gates: bool = False
) -> torch.Tensor:
    """The mean over each sample's tokens of `reduce` of ω, or of act(gate): (B, n_neurons), on the CPU."""
    model = loaded.model
    samples, tokens = batch.input_ids.shape
    attended = batch.attention_mask.unsqueeze(-1)  # (B, T, 1)
    found: dict[int, torch.Tensor] = {}

    def take(place: Place, values: torch.Tensor) -> torch.Tensor:
        wide = place.by_sample(reduce(at_least_float32(values)), samples, tokens)  # (B, T, d_ff)
        mask = attended.to(wide.device)
        found[place.block] = ((wide * mask).sum(dim=1) / mask.sum(dim=1)).cpu()
        return values

    def hook_of(place: int) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            take(Place(place, None), output)

        return hook

    with_gates = gates(model) if of_gates else None
    with ExitStack() as stack, loaded.compute.autocast():
        if with_gates is None:
            stack.enter_context(visiting_outputs(model, take))
        else:
            for place, gate in enumerate(with_gates):
                stack.callback(gate.register_forward_hook(hook_of(place)).remove)
        model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, logits_to_keep=1, use_cache=False)
    return all_blocks(model, found)


def activation(loaded: LoadedModel, pairs: list[Pair], settings: Settings) -> np.ndarray:
    """Mean |ω| over a sample's tokens (prompt and target), mean over samples."""

    def measure(batch: Batch) -> torch.Tensor:
        return _reduce_activations(loaded, batch, torch.abs)

    return _mean_over_samples(loaded, pairs, settings, measure, "activation")


def activation_frequency(loaded: LoadedModel, pairs: list[Pair], settings: Settings) -> np.ndarray:
    """The share of a sample's tokens with act(gate) > 0 (without a gate: ω > 0), mean over samples."""

    def measure(batch: Batch) -> torch.Tensor:
        return _reduce_activations(loaded, batch, lambda values: (values > 0).to(values.dtype), of_gates=True)

    return _mean_over_samples(loaded, pairs, settings, measure, "activation frequency")


def weight_activation(loaded: LoadedModel, pairs: list[Pair], settings: Settings) -> np.ndarray:
    """Σ_d |W_down[d, j]| times the root mean square of ω_j: forward-only, as in Math Neurosurgery (Christ et al. 2024).

    There the product is of each weight with its input's norm; here a neuron's column is summed.
    """

    def measure(batch: Batch) -> torch.Tensor:
        return _reduce_activations(loaded, batch, torch.square)

    squares = _mean_over_samples(loaded, pairs, settings, measure, "weight x activation")
    columns = [weight.detach().abs().sum(dim=0, dtype=torch.float64).cpu() for weight in reader_columns(loaded.model)]
    return torch.cat(columns).numpy() * np.sqrt(squares)


def gradient_norm(loaded: LoadedModel, pairs: list[Pair], settings: Settings) -> np.ndarray:
    """‖∂L/∂ω_j‖ over the positions of a sample's target-loss tokens, mean over samples."""

    def measure(batch: Batch) -> torch.Tensor:
        positions = batch.predicts.unsqueeze(-1)

        def norm(omega: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
            return (gradient * positions.to(gradient.device)).norm(dim=1)

        return in_compute_dtype(
            loaded,
            lambda scale: reduce_gradients(loaded.model, batch, norm, settings["loss"], scale) / scale,
        )

    return _mean_over_samples(loaded, pairs, settings, measure, "gradient norm")


def parameters(loaded: LoadedModel, pairs: list[Pair], settings: Settings) -> np.ndarray:
    """Σ |w·∂L/∂w| over neuron j's parameters (its rows and biases of the writers, its column of the reader), mean over
    samples. It computes the gradients of the FFN weights, one sample at a time.
    """
    model = loaded.model
    by_layer = [
        [place for matrix in layer for place in matrix.neuron_parameters().values()] for layer in matrices(model)
    ]
    weights = [parameter for layer in by_layer for parameter, _ in layer]

    def measure(batch: Batch) -> torch.Tensor:
        for weight in weights:
            weight.requires_grad_(True)
        try:
            return in_compute_dtype(loaded, lambda scale: sums(batch, scale) / scale)
        finally:
            for weight in weights:
                weight.requires_grad_(False)

    def sums(batch: Batch, scale: float) -> torch.Tensor:
        with torch.enable_grad():
            total = sample_losses(model, batch, settings["loss"]).sum() * scale
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

    return _mean_over_samples(loaded, pairs, {**settings, "batch_size": 1}, measure, "parameters")


def integrated_gradients(loaded: LoadedModel, pairs: list[Pair], settings: Settings) -> np.ndarray:
    """|Σ_tokens ω · mean over steps of ∂L/∂ω at a scaled ω|, mean over samples; one layer is scaled at a time.

    The path goes from a layer whose neurons are all off to the layer as it is, at the midpoints of `steps` equal parts.
    Layers that are not in settings["layers"] get NaN.
    """
    dense_only(loaded.model, "integrated-gradients")
    result = []
    for layer, width in enumerate(widths(loaded.model)):
        if layer not in settings["layers"]:
            result.append(np.full(width, np.nan))
            continue

        def measure(batch: Batch, layer: int = layer) -> torch.Tensor:
            return in_compute_dtype(loaded, lambda scale: along_path(loaded, batch, layer, settings, scale)).abs()

        result.append(_mean_over_samples(loaded, pairs, settings, measure, f"integrated gradients, layer {layer}"))
    return np.concatenate(result)


def along_path(loaded: LoadedModel, batch: Batch, layer: int, settings: Settings, scale: float) -> torch.Tensor:
    """Σ_tokens ω · mean gradient along the path, of one layer, (B, d_ff)."""
    steps = settings["steps"]
    total = None
    for step in range(steps):
        seen: dict[str, torch.Tensor] = {}

        def scaled(
            place: Place, omega: torch.Tensor, share: float = (step + 0.5) / steps, seen: dict = seen
        ) -> torch.Tensor:
            if place.block != layer:  # in a dense model blocks are layers
                return omega
            seen["omega"] = omega.detach()
            seen["scaled"] = (share * omega.detach()).requires_grad_()
            return seen["scaled"]

        with torch.enable_grad(), visiting_outputs(loaded.model, scaled):
            loss = sample_losses(loaded.model, batch, settings["loss"]).sum() * scale
        (gradient,) = torch.autograd.grad(loss, seen["scaled"])
        products = at_least_float32(seen["omega"]) * at_least_float32(gradient) / scale
        part = Place(layer, None).by_sample(products, *batch.input_ids.shape).sum(dim=1)
        total = part if total is None else total + part
    assert total is not None
    return (total / steps).cpu()


def random(loaded: LoadedModel, pairs: list[Pair], settings: Settings) -> np.ndarray:
    """Numbers that know nothing; settings["seed"] is whatever numpy takes as one."""
    return np.random.default_rng(settings["seed"]).random(sum(widths(loaded.model)))


CRITERIA: dict[str, Criterion] = {
    "attribution": attribution,
    "integrated-gradients": integrated_gradients,
    "parameters": parameters,
    "gradient-norm": gradient_norm,
    "activation": activation,
    "activation-frequency": activation_frequency,
    "weight-activation": weight_activation,
    "random": random,
}

DENSE_ONLY = ("integrated-gradients", "parameters", "activation-frequency")


def available_criteria(model: PreTrainedModel) -> dict[str, Criterion]:
    """The criteria that can be computed on a model: some are not made for mixtures of experts."""
    mixture = any(number is not None for number in experts(model))
    return {name: criterion for name, criterion in CRITERIA.items() if not (mixture and name in DENSE_ONLY)}
