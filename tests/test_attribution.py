"""Attribution scores against independent references: weight gradients in float64, numbers by hand, real changes."""

import copy
import inspect

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from conftest import readers, tiny_model
from taskneurons.attribution import scores as engine
from taskneurons.attribution.products import neuron_outputs, sample_products
from taskneurons.attribution.resampling import resampling_weights
from taskneurons.attribution.scores import Sums, attribute, score_frame
from taskneurons.config.settings import Scoring
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.models.loaded import Compute, LoadedModel
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.families import family
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.matrices import reader_columns
from taskneurons.neurons.neuron_set import NeuronSet

PAIRS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([14, 15, 16, 17, 18, 19], [20, 21, 22])]
CPU = torch.device("cpu")
STEP = 0.05
SETTINGS = Scoring(aggregation="sample", loss="mean", batch_size=2, batch_tokens=1000)


def on_cpu(model, dtype=torch.float32):
    return LoadedModel(model, None, {}, Compute(CPU, dtype))


def scores(model, pairs, dtype=torch.float32, **changes):
    settings = SETTINGS.model_copy(update=changes)
    sums = attribute(on_cpu(model, dtype), pairs, settings, np.zeros((0, len(pairs))), "test")
    return score_frame(sums, neuron_index(widths(model)))


def reference_losses(model, batch):
    """L of each sample, written without the library: all logits, rows picked one by one."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).logits
    losses = []
    for row in range(len(logits)):
        where = batch.predicts[row].nonzero()[:, 0]
        losses.append(torch.nn.functional.cross_entropy(logits[row, where], batch.input_ids[row, where + 1]))
    return torch.stack(losses)


def test_signed_sum_equals_weight_gradient_in_float64(model):
    """Σ_tokens ω·∂L/∂ω = Σ_d W[d, j]·∂L/∂W[d, j], W the reader, sample by sample."""
    model = model.double()
    axis = family(model.config.model_type).neuron_axis
    for pair in PAIRS:
        batch = collate([pair], CPU)
        weights = [reader.weight.requires_grad_(True) for reader in readers(model)]
        gradients = torch.autograd.grad(reference_losses(model, batch).sum(), weights)
        terms = [
            (weight.detach() * gradient).movedim(axis, 1) for weight, gradient in zip(weights, gradients, strict=True)
        ]
        expected = torch.cat([term.sum(dim=0) for term in terms])
        bound = torch.cat([term.abs().sum(dim=0) for term in terms])
        got = sample_products(model, batch)[0]
        assert got.dtype == torch.float64
        assert got.abs().max() > 0
        assert ((got - expected).abs() <= 1e-9 * bound + 1e-18).all()


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_scores_predict_the_real_change_of_the_loss(name):
    """The product is the slope of the loss in the scale of the neuron's output, here as a central difference.

    The step is large because Llama's norm computes in float32 whatever the model's dtype is.
    """
    model = tiny_model(name).double()
    batch = collate(PAIRS, CPU)
    products = sample_products(model, batch)
    start = 0
    for layer, width in enumerate(widths(model)):
        for neuron in (0, width // 2):
            losses = []
            for scale in (1 + STEP, 1 - STEP):
                changed = copy.deepcopy(model)
                with torch.no_grad():
                    reader_columns(changed)[layer][:, neuron] *= scale
                    losses.append(reference_losses(changed, batch))
            slope = (losses[0] - losses[1]) / (2 * STEP)
            assert torch.allclose(slope, products[:, start + neuron], rtol=1e-2, atol=3e-6)
        start += width


def test_two_neuron_network_by_hand():
    """A model of two neurons whose products are worked out with the closed form of softmax's gradient."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 2, "intermediate_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 2}
    tiny = LlamaForCausalLM(LlamaConfig(vocab_size=4, **sizes)).eval()
    # A linear end: the final norm is switched off, so logits = head · (h + W ω) and ∂L/∂ω = Wᵀ headᵀ (p − onehot).
    tiny.model.norm = torch.nn.Identity()
    seen = {}
    readers(tiny)[0].register_forward_pre_hook(lambda module, inputs: seen.update(omega=inputs[0].detach()))
    batch = collate([([1], [2])], CPU)
    products = sample_products(tiny, batch)[0]
    logits = tiny(input_ids=batch.input_ids).logits[0, 0]
    wrong = torch.softmax(logits, 0) - torch.nn.functional.one_hot(torch.tensor(2), 4)
    gradient = readers(tiny)[0].weight.T @ tiny.lm_head.weight.T @ wrong
    assert torch.allclose(products, seen["omega"][0, 0] * gradient, atol=1e-7)


def left_padded_products(model, pairs):
    """The products of a batch that is padded on the left, with explicit positions and a loss over picked logits."""
    longest = max(len(prompt) + len(target) for prompt, target in pairs)
    ids, mask = torch.zeros(len(pairs), longest, dtype=torch.long), torch.zeros(len(pairs), longest, dtype=torch.long)
    for row, (prompt, target) in enumerate(pairs):
        ids[row, longest - len(prompt + target) :] = torch.tensor(prompt + target)
        mask[row, longest - len(prompt + target) :] = 1
    options = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    if "position_ids" in inspect.signature(model.forward).parameters:
        options["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
    with neuron_outputs(model) as outputs:
        logits = model(**options).logits
    losses = [
        torch.nn.functional.cross_entropy(logits[row, -len(target) - 1 : -1], torch.tensor(target))
        for row, (_, target) in enumerate(pairs)
    ]
    omegas = [omega for _, omega in outputs]
    gradients = torch.autograd.grad(torch.stack(losses).sum(), omegas)
    products = [(omega * gradient).detach() for omega, gradient in zip(omegas, gradients, strict=True)]
    return torch.cat([product.view(len(pairs), longest, -1).sum(dim=1) for product in products], dim=1)


def test_padding_left_or_right_and_batching_change_nothing(model):
    """A sample's products are the same alone, in a batch padded on the right, and in one padded on the left."""
    model.requires_grad_(False)
    together = sample_products(model, collate(PAIRS, CPU))
    alone = torch.cat([sample_products(model, collate([pair], CPU)) for pair in PAIRS])
    slack = 2e-5 * alone.abs().max()
    assert torch.allclose(together, alone, rtol=1e-4, atol=slack)
    assert torch.allclose(left_padded_products(model, PAIRS), alone, rtol=1e-4, atol=slack)


@pytest.mark.parametrize("changes", [{"batch_size": 1}, {"batch_size": 9}, {"batch_size": 9, "batch_tokens": 6}])
def test_batch_size_and_order_change_nothing(changes):
    model = tiny_model("llama")
    for how in ("sample", "token", "total"):
        one, other = (
            scores(model, PAIRS, aggregation=how),
            scores(model, PAIRS[::-1], aggregation=how, **changes),
        )
        assert one["score"].max() > 0
        assert np.allclose(one["score"], other["score"], rtol=1e-4, atol=1e-8)


def test_a_prompts_own_tokens_never_enter_the_loss(model):
    """The loss is over target tokens only: it equals a by-hand sum over them."""
    prompt, target = [5, 6, 7], [8, 9]
    loss = sample_losses(model, collate([(prompt, target)], CPU))[0]
    logits = model(input_ids=torch.tensor([prompt + target])).logits[0]
    expected = -torch.log_softmax(logits, -1)[[2, 3], target].mean()
    assert torch.allclose(loss, expected, atol=1e-5)


def test_aggregations_differ_as_defined(model):
    """token ≥ sample ≥ total for every neuron; total is the absolute sum of the samples' own signed products."""
    frames = {how: scores(model, PAIRS, aggregation=how, loss="sum") for how in ("token", "sample", "total")}
    slack = 1e-7
    assert (frames["token"]["score"] >= frames["sample"]["score"] - slack).all()
    assert (frames["sample"]["score"] >= frames["total"]["score"] - slack).all()
    signed = sum(sample_products(model, collate([pair], CPU), "sum")[0] for pair in PAIRS) / len(PAIRS)
    assert np.allclose(frames["total"]["score"], signed.abs().numpy(), rtol=1e-4, atol=1e-7)
    assert (frames["token"]["score"] > frames["sample"]["score"] + slack).any()
    assert (frames["sample"]["score"] > frames["total"]["score"] + slack).any()


def test_bootstrap_replicates_are_weighted_means():
    """Each replicate is the score over its resampled examples, checked against scoring every example alone."""
    model = tiny_model("llama")
    weights = resampling_weights(3, 5, "t", 7)
    assert (weights.sum(axis=1) == 3).all()
    sums = attribute(on_cpu(model), PAIRS, SETTINGS, weights, "test")
    alone = np.stack([scores(model, [pair])["score"] for pair in PAIRS])
    assert np.allclose(sums.resampled / 3, weights @ alone / 3, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_dtypes_find_nearly_the_same_scores(dtype):
    """Products are summed in float32 at least; float16 gradients do not vanish, because the loss is scaled."""
    model = tiny_model("llama")
    exact, narrow = scores(model, PAIRS), scores(model, PAIRS, dtype)
    assert np.corrcoef(exact["score"], narrow["score"])[0, 1] > 0.999
    assert (narrow["score"] > 0).sum() >= 0.95 * (exact["score"] > 0).sum()


def test_float16_gradients_vanish_without_the_scale():
    """The reason for the scale: a loss of a millionth leaves no float16 gradient, and scaled it leaves nearly all."""
    model = tiny_model("llama").requires_grad_(False)
    batch = collate(PAIRS, CPU)
    with torch.autocast("cpu", torch.float16):
        vanished = sample_products(model, batch, scale=1e-6)
        scaled = sample_products(model, batch, scale=2.0**16)
    exact = sample_products(model, batch)
    assert (vanished == 0).float().mean() > 0.3
    assert ((scaled == 0) & (exact != 0)).float().mean() < 0.05


def test_products_that_are_not_finite_are_told():
    model = tiny_model("llama")
    with torch.no_grad():
        model.lm_head.weight.fill_(float("inf"))
    with pytest.raises(UserError, match=r"not finite in float32: set compute\.dtype"):
        scores(model, PAIRS)


def test_a_batch_that_is_out_of_memory_is_halved(monkeypatch):
    """Batches of more than two samples raise the error of a GPU; the scores are those of smaller batches."""
    model = tiny_model("llama")
    expected = scores(model, PAIRS, batch_size=1)
    sizes = []

    def limited(model, batch, *rest):
        if len(batch.input_ids) > limit:
            raise torch.OutOfMemoryError("no room")
        sizes.append(len(batch.input_ids))
        return sample_products(model, batch, *rest)

    limit = 2
    monkeypatch.setattr(engine, "sample_products", limited)
    assert np.allclose(scores(model, PAIRS, batch_size=3)["score"], expected["score"], rtol=1e-4, atol=1e-8)
    assert sizes == [1, 2]
    limit = 0
    with pytest.raises(UserError, match="too small for one example"):
        scores(model, PAIRS)


def test_sums_over_parts_are_the_sums_over_all():
    """Shards: disjoint parts of the samples add up, whatever the aggregation."""
    model = on_cpu(tiny_model("llama"))
    weights = resampling_weights(3, 4, "t", 0)
    for how in ("sample", "token", "total"):
        settings = SETTINGS.model_copy(update={"aggregation": how})
        whole = attribute(model, PAIRS, settings, weights, "test")
        parts = Sums.none(len(whole.score), 4)
        for rows in ([0, 2], [1]):
            parts.add(attribute(model, [PAIRS[row] for row in rows], settings, weights[:, rows], "test"))
        assert parts.samples == whole.samples == 3
        for field in ("score", "resampled"):
            assert np.allclose(getattr(parts, field), getattr(whole, field), rtol=1e-4, atol=1e-8)


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


def test_weights_get_no_gradient_and_the_callers_flags_are_back(monkeypatch):
    """The backward is of activations only; which parameters are trained is the caller's affair, also after an error."""
    model = tiny_model("llama")
    trained = [number % 2 == 0 for number, _ in enumerate(model.parameters())]
    for parameter, flag in zip(model.parameters(), trained, strict=True):
        parameter.requires_grad_(flag)
    inside = []

    def watched(model, *rest):
        inside.append(any(parameter.requires_grad for parameter in model.parameters()))
        return sample_products(model, *rest)

    monkeypatch.setattr(engine, "sample_products", watched)
    scores(model, PAIRS)
    assert inside == [False, False]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [parameter.requires_grad for parameter in model.parameters()] == trained
    monkeypatch.setattr(engine, "sample_products", None)
    with pytest.raises(TypeError):
        scores(model, PAIRS)
    assert [parameter.requires_grad for parameter in model.parameters()] == trained


def test_float16_scores_of_small_gradients_need_the_scale():
    """A loss of small gradients, through the whole of `attribute`: without its scale most scores would be zero."""
    model = tiny_model("llama")
    with torch.no_grad():
        model.lm_head.weight.mul_(1e-3)
    exact, narrow = scores(model, PAIRS), scores(model, PAIRS, torch.float16)
    assert np.corrcoef(exact["score"], narrow["score"])[0, 1] > 0.99
    assert (narrow["score"] > 0).sum() >= 0.95 * (exact["score"] > 0).sum()


def test_a_scale_that_overflows_is_lowered(monkeypatch):
    tried = []

    def overflowing(model, batch, loss, scale, means):
        tried.append(scale)
        return sample_products(model, batch, loss, 1.0) * (np.inf if scale > 256 else 1.0)

    monkeypatch.setattr(engine, "sample_products", overflowing)
    model = tiny_model("llama")
    assert np.isfinite(scores(model, PAIRS[:1], torch.float16)["score"]).all()
    assert tried == [2.0**16, 2.0**12, 2.0**8]


def test_absolute_tokens_against_token_by_token_gradients(model):
    """Per-token |ω·∂L/∂ω|, summed: the gradient of every position by itself."""
    batch = collate(PAIRS[:1], CPU)
    found = [None] * len(readers(model))

    def keep(place):
        def hook(module, inputs):
            found[place] = inputs[0].requires_grad_() if not inputs[0].requires_grad else inputs[0]
            return (found[place], *inputs[1:])

        return hook

    handles = [reader.register_forward_pre_hook(keep(place)) for place, reader in enumerate(readers(model))]
    loss = reference_losses(model, batch).sum()
    gradients = torch.autograd.grad(loss, found)
    for handle in handles:
        handle.remove()
    products = [
        (omega * gradient).detach().reshape(-1, omega.shape[-1]).abs().sum(dim=0)
        for omega, gradient in zip(found, gradients, strict=True)
    ]
    got = scores(model, PAIRS[:1], aggregation="token")["score"].to_numpy()
    np.testing.assert_allclose(got, torch.cat(products).numpy(), rtol=1e-4, atol=1e-8)
