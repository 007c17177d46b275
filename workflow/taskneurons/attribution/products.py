"""The engine of all scores: gradients of the loss with respect to neurons' outputs ω, reduced as they come.

One forward and one backward a batch: weights are frozen, so that the backward computes gradients of activations only,
and it ends at the first layer's ω; the vocabulary head runs at target positions only. A layer's products are summed
over tokens as soon as its gradient is there, in float32 at least. Nothing that grows with the number of samples or
tokens is kept.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from taskneurons.config.settings import Passes
from taskneurons.core.errors import UserError
from taskneurons.core.progress import progress
from taskneurons.data.batches import by_length, in_halves
from taskneurons.data.encoding import Batch, Pair, at_least_float32, collate, sample_losses
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import Site, blocks, visiting_outputs
from taskneurons.neurons.mean_outputs import MeanOutputs
from taskneurons.neurons.sinks import sinks


@contextmanager
def neuron_outputs(model: PreTrainedModel) -> Iterator[list[tuple[Site, torch.Tensor]]]:
    """Collect ω of every FFN, with its site, from the forward passes of the block; leaves no hook behind.

    The first layer's are the leaves of the graph: below them nothing needs a gradient.
    """
    outputs: list[tuple[Site, torch.Tensor]] = []
    first_layer = sum(block.layer == 0 for block in blocks(model))

    def keep(site: Site, omega: torch.Tensor) -> torch.Tensor:
        if site.block < first_layer:
            omega = omega.detach().requires_grad_()
        outputs.append((site, omega))
        return omega

    with visiting_outputs(model, keep):
        yield outputs


Reduction = Callable[[Site, torch.Tensor, torch.Tensor], torch.Tensor]


def reduce_gradients(
    model: PreTrainedModel, batch: Batch, reduce: Reduction, loss: str = "mean", scale: float = 1.0
) -> torch.Tensor:
    """`reduce(ω, ∂L/∂ω)` of every layer, joined along the neurons, on the CPU, from one forward and one backward.

    The samples of a batch do not interact, so the gradient of the sum of their losses is each one's own. A layer is
    reduced as soon as the backward reaches it, so that no more than one layer's gradient is held.

    Args:
        reduce: from the site and ω and its gradient there, (B, T, d_ff) each, at least float32, to (…, d_ff).
        loss: L of a sample: "mean" or "sum" over its target tokens.
        scale: the loss is multiplied by it before the backward, so that small gradients survive in float16; `reduce`
            sees scaled gradients.
    """
    samples, tokens = batch.input_ids.shape
    found: dict[int, torch.Tensor] = {}

    def reduction_of(site: Site, omega: torch.Tensor) -> Callable[[torch.Tensor], None]:
        def hook(gradient: torch.Tensor) -> None:
            wide = (site.by_sample(at_least_float32(values), samples, tokens) for values in (omega, gradient))
            found[site.block] = reduce(site, *wide).cpu()

        return hook

    with torch.enable_grad(), neuron_outputs(model) as outputs:
        total = sample_losses(model, batch, loss).sum() * scale
        for site, omega in outputs:
            # The hook holds a detached view: omega itself would make a cycle that only the garbage collector ends.
            omega.register_hook(reduction_of(site, omega.detach()))
        torch.autograd.grad(total, [omega for _, omega in outputs if omega.is_leaf])
    return all_blocks(model, found)


def all_blocks(model: PreTrainedModel, found: dict[int, torch.Tensor]) -> torch.Tensor:
    """What was found of each block, (…, width), joined along the neurons; zeros for experts that were not visited."""
    like = next(iter(found.values()))
    parts = [
        found.get(number, like.new_zeros(*like.shape[:-1], block.width)) for number, block in enumerate(blocks(model))
    ]
    return torch.cat(parts, dim=-1)


def changes_of(
    model: PreTrainedModel, batch: Batch, means: MeanOutputs | None
) -> Callable[[Site, torch.Tensor], torch.Tensor]:
    """How far ω is from what an ablation puts in its place: ω itself, or ω − ω̄, and 0 at sinks, with means.

    Mean ablation leaves sinks as they are, so that no score counts their tokens.
    """
    if means is None:
        return lambda site, omega: omega
    of_blocks, counted = means.of_blocks(model), ~sinks(batch.attention_mask).unsqueeze(-1)
    return lambda site, omega: (omega - of_blocks[site.block].to(omega)) * counted.to(omega.device)


def sample_products(
    model: PreTrainedModel, batch: Batch, loss: str = "mean", scale: float = 1.0, means: MeanOutputs | None = None
) -> torch.Tensor:
    """Σ_tokens ω·∂L/∂ω of every sample and neuron, (B, n_neurons); with means Σ_tokens (ω − ω̄)·∂L/∂ω, sinks left out.

    It is minus the first-order change of L when the neuron is switched off. Padding follows the last target token,
    which no loss looks at: its products are zero.
    """
    change = changes_of(model, batch, means)

    def signed(site: Site, omega: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        return (change(site, omega) * gradient).sum(dim=1)

    return reduce_gradients(model, batch, signed, loss, scale) / scale


def signed_and_absolute_products(
    model: PreTrainedModel, batch: Batch, loss: str = "mean", scale: float = 1.0, means: MeanOutputs | None = None
) -> torch.Tensor:
    """As `sample_products`, and with |·| taken at each token: (2, B, n_neurons)."""
    change = changes_of(model, batch, means)

    def both(site: Site, omega: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        products = change(site, omega) * gradient
        return torch.stack([products.sum(dim=1), products.abs().sum(dim=1)])

    return reduce_gradients(model, batch, both, loss, scale) / scale


def in_compute_dtype(loaded: LoadedModel, work: Callable[[float], torch.Tensor]) -> torch.Tensor:
    """`work(scale)` in the model's compute dtype, with the loss scaled down until float16 does not overflow.

    Raises:
        UserError: the result is not finite, whatever the scale.
    """
    scale = 2.0**16 if loaded.compute.dtype == torch.float16 else 1.0
    while scale >= 1:
        with loaded.compute.autocast():
            found = work(scale)
        if found.isfinite().all():
            return found
        scale /= 16
    raise UserError(
        f"the products of loss gradients and activations are not finite in {loaded.compute.dtype_name}: "
        "set compute.dtype to bfloat16 or float32"
    )


def batch_results(
    loaded: LoadedModel,
    pairs: list[Pair],
    passes: Passes,
    work: Callable[[Batch], torch.Tensor],
    what: str | None,
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """`work` on all examples in batches of similar length, which are halved where the memory is too small.

    Args:
        what: the name of the progress bar; None for none.

    Returns:
        Pairs of row numbers and the work's result on them.
    """

    def collated(rows: list[int]) -> torch.Tensor:
        return work(collate([pairs[row] for row in rows], loaded.compute.device))

    lengths = [len(prompt) + len(target) for prompt, target in pairs]
    batches = by_length(lengths, passes.batch_size, passes.batch_tokens)
    for batch in batches if what is None else progress(batches, what, len(batches)):
        yield from in_halves(batch, collated)
