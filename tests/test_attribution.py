"""Attribution scores against independent references: weight gradients in float64, numbers by hand, real changes."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from conftest import TINY
from taskneurons.attribution import attribute, resampling_weights, sample_products
from taskneurons.deactivation import deactivated
from taskneurons.encoding import TokenBudget, collate, sample_losses
from taskneurons.feed_forward import readers, widths
from taskneurons.neuron_set import NeuronSet
from taskneurons.task import Task

PAIRS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([14, 15, 16, 17, 18, 19], [20, 21, 22])]
CPU = torch.device("cpu")
STEP = 0.05


def make_task(prompts, targets):
    return Task("t", prompts, targets, [[t] for t in targets], [], "rougeL", TokenBudget(32, 8), ":", "hash")


def test_signed_sum_equals_weight_gradient_in_float64(model):
    """Σ_tokens ω·∂L/∂ω = Σ_d W[d, j]·∂L/∂W[d, j], W the reader, in one and the same batch, sample by sample."""
    model = model.double()
    for pair in PAIRS:
        batch = collate([pair], CPU)
        weights = [reader.weight.requires_grad_(True) for reader in readers(model)]
        gradients = torch.autograd.grad(reference_losses(model, batch).sum(), weights)
        terms = [weight.detach() * gradient for weight, gradient in zip(weights, gradients, strict=True)]
        expected = torch.cat([term.sum(dim=0) for term in terms])
        bound = torch.cat([term.abs().sum(dim=0) for term in terms])
        got = sample_products(model, batch)[0]
        assert got.dtype == torch.float64
        assert ((got - expected).abs() <= 1e-9 * bound + 1e-18).all()


def reference_losses(model, batch):
    """L of each sample, written without the library: all logits, rows picked one by one."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).logits
    losses = []
    for row in range(len(logits)):
        where = batch.predicts[row].nonzero()[:, 0]
        losses.append(nn.functional.cross_entropy(logits[row, where], batch.input_ids[row, where + 1]))
    return torch.stack(losses)


@pytest.mark.parametrize("family", list(TINY))
def test_scores_predict_the_real_change_of_the_loss(family):
    """The product is the slope of the loss in the scale of the neuron's output, here as a central difference.

    The step is large because Llama's norm computes in float32 whatever the model's dtype is.
    """
    model = TINY[family]().double()
    batch = collate(PAIRS, CPU)
    products = sample_products(model, batch)
    start = 0
    for layer, width in enumerate(widths(model)):
        for neuron in (0, width // 2):
            losses = []
            for scale in (1 + STEP, 1 - STEP):
                changed = copy.deepcopy(model)
                with torch.no_grad():
                    readers(changed)[layer].weight[:, neuron] *= scale
                    losses.append(reference_losses(changed, batch))
            slope = (losses[0] - losses[1]) / (2 * STEP)
            assert torch.allclose(slope, products[:, start + neuron], rtol=1e-2, atol=3e-6)
        start += width


def test_two_neuron_network_by_hand(loaded):
    """A model of two neurons whose products are worked out with the closed form of softmax's gradient."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    tiny = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=4, hidden_size=2, intermediate_size=2, num_hidden_layers=1, num_attention_heads=1, head_dim=2
        )
    ).eval()
    # A linear end: the final norm is switched off, so logits = head · (h + W ω) and ∂L/∂ω = Wᵀ headᵀ (p − onehot).
    tiny.model.norm = nn.Identity()
    seen = {}
    readers(tiny)[0].register_forward_pre_hook(lambda module, inputs: seen.update(omega=inputs[0].detach()))
    batch = collate([([1], [2])], CPU)
    products = sample_products(tiny, batch)[0]
    logits = tiny(input_ids=batch.input_ids).logits[0, 0]
    wrong = torch.softmax(logits, 0) - nn.functional.one_hot(torch.tensor(2), 4)
    gradient = readers(tiny)[0].weight.T @ tiny.lm_head.weight.T @ wrong
    assert torch.allclose(products, seen["omega"][0, 0] * gradient, atol=1e-7)


def test_batching_padding_and_order_change_nothing(loaded):
    """Scores do not depend on the batch size, on the padding that it brings, or on the order of the samples."""
    prompts = ["the cat sat on the mat :", "a dog :", "yes no :", "the dog saw a cat on the mat :"]
    targets = ["good", "bad cat", "maybe", "a mat"]
    settings = {"aggregation": "sample", "loss": "mean", "bootstrap": 3}
    whole, _ = attribute(loaded, make_task(prompts, targets), {**settings, "batch_size": 4}, 0)
    single, _ = attribute(loaded, make_task(prompts[::-1], targets[::-1]), {**settings, "batch_size": 1}, 0)
    for column in ("score", "signed_score"):
        assert np.allclose(whole[column], single[column], rtol=1e-4, atol=1e-8)


def test_a_prompts_own_tokens_never_enter_the_loss(loaded):
    """The loss is over target tokens only: it equals a by-hand sum over them."""
    prompt, target = [5, 6, 7], [8, 9]
    loss = sample_losses(loaded.model, collate([(prompt, target)], CPU))[0]
    logits = loaded.model(input_ids=torch.tensor([prompt + target])).logits[0]
    expected = -torch.log_softmax(logits, -1)[[2, 3], target].mean()
    assert torch.allclose(loss, expected, atol=1e-6)


def test_aggregations_differ_as_defined(loaded):
    """token ≥ sample ≥ total for every neuron; total is the absolute signed score."""
    task = make_task(["the cat :", "a dog saw :"], ["sat", "the mat"])
    frames = {
        how: attribute(loaded, task, {"aggregation": how, "loss": "sum", "batch_size": 2, "bootstrap": 2}, 0)[0]
        for how in ("token", "sample", "total")
    }
    slack = 1e-9
    assert (frames["token"]["score"] >= frames["sample"]["score"] - slack).all()
    assert (frames["sample"]["score"] >= frames["total"]["score"] - slack).all()
    assert np.allclose(frames["total"]["score"], frames["sample"]["signed_score"].abs())


def test_bootstrap_replicates_are_weighted_means(loaded):
    """Each replicate is the score over its resampled examples, checked against scoring every example alone."""
    prompts, targets = ["the cat :", "a dog saw :", "yes :"], ["sat", "the mat", "no"]
    settings = {"aggregation": "sample", "loss": "mean", "batch_size": 2, "bootstrap": 5}
    _, replicates = attribute(loaded, make_task(prompts, targets), settings, seed=7)
    alone = np.stack(
        [attribute(loaded, make_task([p], [t]), settings, 0)[0]["score"] for p, t in zip(prompts, targets, strict=True)]
    )
    expected = resampling_weights(3, 5, "t", 7) @ alone / 3
    assert np.allclose(replicates, expected, rtol=1e-4, atol=1e-8)


def test_no_hook_survives_an_exception(model):
    with (
        pytest.raises(RuntimeError, match="stop"),
        deactivated(model, NeuronSet(np.ones(sum(widths(model)), bool), tuple(widths(model)))),
    ):
        raise RuntimeError("stop")
    broken = collate(PAIRS, CPU)
    object.__setattr__(broken, "targets", None)
    with pytest.raises(TypeError):
        sample_products(model, broken)
    assert all(not reader._forward_pre_hooks for reader in readers(model))
