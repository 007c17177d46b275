"""Mean outputs, mean ablation and scores from the mean, against brute force in float64 in every family."""

import types

import numpy as np
import pytest
import torch

from conftest import MIXTURES, ROOT, SHARED, TINY, tiny_model
from taskneurons.attribution.mean_outputs import (
    MassiveTokens,
    mean_over_tasks,
    state_norms,
    sums_of_outputs,
    task_means,
)
from taskneurons.attribution.products import changes_of, sample_products, signed_and_absolute_products
from taskneurons.attribution.scores import attribute
from taskneurons.config.settings import DeviceSettings, Scoring
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.deactivation.exact_ablation import loss_changes
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.evaluation.generation import generate
from taskneurons.models.import_base import ImportSettings
from taskneurons.models.import_base import main as import_model
from taskneurons.models.loaded import Compute, LoadedModel, load_model, weights_hash
from taskneurons.neurons.blocks import blocks, know_identities, widths
from taskneurons.neurons.mean_outputs import MeanOutputs
from taskneurons.neurons.neuron_set import NeuronSet, random_set
from taskneurons.neurons.sinks import sinks, sinks_at_hand

CPU = torch.device("cpu")
WEIGHTS = ROOT / "resources" / "SmolLM2-135M-Instruct.Q4_1.gguf"
PAIRS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([14, 15, 16, 17, 18, 19], [20, 21, 22])]
SETTINGS = Scoring(batch_size=2, batch_tokens=1000)


@pytest.fixture(params=[*TINY, *MIXTURES])
def any_model(request):
    """Every family and shape, in float64; mixtures with transformers' eager experts."""
    model = tiny_model(request.param).double()
    if request.param in MIXTURES:
        model.set_experts_implementation("eager")
    return model


def on_cpu(model, tokenizer=None):
    return LoadedModel(model, tokenizer, {}, Compute(CPU, torch.float32))


def means_of(model, seed=5):
    values = np.random.default_rng(seed).normal(size=sum(widths(model)))
    return MeanOutputs(values, tuple(widths(model)))


# ---- brute force: ω of every token of every block, one at a time ----


def experts_token_by_token(module, visit, hidden_states, top_k_index, top_k_weights):
    """A mixture's experts as their definition says it: `visit(expert, token, ω)` may change each ω."""
    output = torch.zeros_like(hidden_states)
    for token, state in enumerate(hidden_states):
        for expert, weight in zip(top_k_index[token].tolist(), top_k_weights[token], strict=True):
            gate, up = (module.gate_up_proj[expert] @ state).chunk(2)
            omega = visit(expert, token, module.act_fn(gate) * up)
            output[token] += weight * (module.down_proj[expert] @ omega)
    return output


def visit_everything(model, visit):
    """Let `visit(block, token among B · T, ω)` give every ω; the handles end it."""
    undo = []
    for number, block in enumerate(blocks(model)):
        if block.expert is None:

            def hook(module, inputs, number=number):
                flat = inputs[0].reshape(-1, inputs[0].shape[-1])
                rows = torch.stack([visit(number, token, row) for token, row in enumerate(flat)])
                return (rows.reshape(inputs[0].shape),)

            undo.append(block.module.register_forward_pre_hook(hook).remove)
        elif block.expert == 0:

            def forward(module, *inputs, number=number):
                return experts_token_by_token(module, lambda e, t, o: visit(number + e, t, o), *inputs)

            block.module.forward = types.MethodType(forward, block.module)
            undo.append(lambda module=block.module: module.__dict__.pop("forward"))
    return undo


def brute_force(model, batch, visit):
    undo = visit_everything(model, visit)
    try:
        return sample_losses(model, batch)
    finally:
        for one in undo:
            one()


# ---- sinks ----


def test_the_sink_is_the_first_attended_token_whatever_side_is_padded():
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    assert sinks(mask).int().tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]


def test_a_generated_token_is_no_sink():
    mask = torch.tensor([[0, 1, 1], [1, 1, 1]])
    with sinks_at_hand(tiny_model("llama")) as at_hand:
        at_hand.take(None, (), {"input_ids": torch.ones(2, 1), "attention_mask": mask})
        assert at_hand.of_pass.tolist() == [[False], [False]]
        at_hand.take(None, (), {"input_ids": torch.ones(2, 3), "attention_mask": mask})
        assert at_hand.of_pass.tolist() == [[False, True, False], [True, False, False]]


# ---- mean ablation ----


@torch.no_grad()
def test_mean_ablation_against_brute_force(any_model):
    """Every token but a row's first gets the means of the set, inside the routing weight of a mixture."""
    neurons, means = random_set(30, widths(any_model), 3), means_of(any_model)
    flags = torch.from_numpy(neurons.selected).split([block.width for block in blocks(any_model)])
    values = torch.from_numpy(means.values).split([block.width for block in blocks(any_model)])
    batch = collate(PAIRS, CPU)
    length = batch.input_ids.shape[1]

    def visit(block, token, omega):
        return omega if token % length == 0 else torch.where(flags[block], values[block], omega)

    expected = brute_force(any_model, batch, visit)
    whole = sample_losses(any_model, batch)
    with deactivated(any_model, neurons, means):
        inside = sample_losses(any_model, batch)
    assert torch.allclose(inside, expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(inside, whole, rtol=1e-6)
    with deactivated(any_model, neurons, means):
        alone = torch.cat([sample_losses(any_model, collate([pair], CPU)) for pair in PAIRS])
    assert torch.allclose(inside, alone, rtol=1e-9, atol=1e-12)


def test_the_models_bits_and_hooks_are_as_before(any_model):
    before = weights_hash(any_model)
    kept = [dict(module.__dict__) for module in any_model.modules()]
    neurons, means = random_set(30, widths(any_model), 3), means_of(any_model)
    with pytest.raises(RuntimeError, match="stop"), deactivated(any_model, neurons, means):
        raise RuntimeError("stop")
    assert weights_hash(any_model) == before
    for module, state in zip(any_model.modules(), kept, strict=True):
        assert not module._forward_pre_hooks
        assert not module._forward_hooks
        assert module.__dict__.get("forward") is state.get("forward")


def test_means_of_another_model_are_refused():
    model = tiny_model("llama")
    neurons = random_set(5, widths(model), 0)
    with pytest.raises(ValueError, match="the model has"), deactivated(model, neurons, MeanOutputs(np.ones(4), (2, 2))):
        pass
    know_identities(model, "this", None)
    foreign = MeanOutputs(np.ones(sum(widths(model))), tuple(widths(model)), "other")
    with pytest.raises(UserError, match="selected on model other"), deactivated(model, neurons, foreign):
        pass


def test_generation_under_mean_ablation_does_not_depend_on_padding(loaded):
    """Prompts of different lengths in one left-padded batch, with cached steps, against each one alone."""
    means = means_of(loaded.model)
    neurons = random_set(40, widths(loaded.model), 1)
    prompts = [[5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15]]
    with deactivated(loaded.model, neurons, means):
        together = generate(loaded, prompts, 6, batch_size=3)
        alone = [generate(loaded, [prompt], 6, batch_size=1)[0] for prompt in prompts]
    assert together == alone
    assert together != generate(loaded, prompts, 6, batch_size=3)


def test_a_neuron_that_is_at_its_mean_costs_nothing():
    """Its mean in place of a constant output: nothing changes, where zero changes a lot."""
    model = tiny_model("gpt2").double()
    with torch.no_grad():
        for layer in model.transformer.h:
            layer.mlp.c_fc.weight[:, :5] = 0
            layer.mlp.c_fc.bias[:5] = 3.0
    constant = float(model.transformer.h[0].mlp.act(torch.tensor(3.0, dtype=torch.float64)))
    flags = np.concatenate([np.arange(width) < 5 for width in widths(model)])
    neurons = NeuronSet(flags, tuple(widths(model)))
    means = MeanOutputs(np.where(flags, constant, 0.0), neurons.widths)
    batch = collate(PAIRS, CPU)
    with torch.no_grad():
        whole = sample_losses(model, batch)
        with deactivated(model, neurons, means):
            assert torch.allclose(sample_losses(model, batch), whole, rtol=1e-12)
        with deactivated(model, neurons):
            assert not torch.allclose(sample_losses(model, batch), whole, rtol=1e-3)


def test_exact_effects_under_mean_ablation_equal_single_sets(any_model):
    """Another neuron at its mean in each row, against the same neuron as a set."""
    model, means = any_model.float(), means_of(any_model)
    total = sum(widths(model))
    neurons = list(range(0, total, total // 7))
    passes = SETTINGS.model_copy(update={"batch_size": 4})
    found = loss_changes(on_cpu(model), PAIRS, neurons, passes, means)
    assert np.abs(found).max() > 1e-4
    for column, neuron in enumerate(neurons):
        alone = NeuronSet(np.arange(total) == neuron, tuple(widths(model)))
        for row, pair in enumerate(PAIRS):
            batch = collate([pair], CPU)
            with torch.no_grad():
                whole = sample_losses(model, batch)
                with deactivated(model, alone, means):
                    off = sample_losses(model, batch)
            assert found[row, column] == pytest.approx((off - whole).item(), abs=3e-6)


# ---- mean outputs ----


@torch.no_grad()
def test_mean_outputs_against_brute_force(any_model):
    """Sums over tokens that are neither padding nor a row's first, of a mixture over those routed to the expert."""
    batch = collate(PAIRS, CPU)
    length = batch.input_ids.shape[1]
    sizes = [block.width for block in blocks(any_model)]
    expected = [torch.zeros(len(PAIRS), 2, size, dtype=torch.float64) for size in sizes]

    def visit(block, token, omega):
        row, place = divmod(token, length)
        if place and batch.attention_mask[row, place]:
            expected[block][row] += torch.stack([omega, torch.ones_like(omega)])
        return omega

    brute_force(any_model, batch, visit)
    found = sums_of_outputs(on_cpu(any_model), batch)
    assert torch.allclose(found, torch.cat(expected, dim=-1), rtol=1e-9, atol=1e-12)


def test_a_tasks_means_do_not_depend_on_batching():
    model = tiny_model("qwen3_moe, one layer dense").double()
    model.set_experts_implementation("eager")
    found = []
    for size in (1, 3):
        passes = SETTINGS.model_copy(update={"batch_size": size})
        found.append(task_means(on_cpu(model), PAIRS, passes, "one", MassiveTokens()))
    for one, other in zip(*found, strict=True):
        assert np.allclose(one, other, rtol=1e-9, atol=1e-12)
    dense = slice(12 * 4, 12 * 4 + 24)  # the second layer, which every counted token comes by
    assert set(found[0][1][dense]) == {sum(len(prompt) + len(target) - 1 for prompt, target in PAIRS)}


def test_tasks_are_weighted_alike_where_they_have_tokens():
    means = np.array([[1.0, 4.0, 0.0], [3.0, 0.0, 0.0]])
    tokens = np.array([[1, 5, 0], [100, 0, 0]])
    assert mean_over_tasks(means, tokens).tolist() == [2.0, 4.0, 0.0]


def test_massive_tokens_are_counted_where_they_are():
    norms = [torch.tensor([[60.0, 1.0, 1.0, 1.2, 99.0]]), torch.tensor([[1.0, 1.0, 30.0, 1.0, 99.0]])]
    seen = MassiveTokens()
    seen.count(norms, torch.tensor([[1, 1, 1, 1, 0]]))  # the last is padding
    assert seen.shares() == {"massive_sinks": 1.0, "massive_others": pytest.approx(1 / 3)}


def test_states_of_every_layer_are_seen(model):
    batch = collate(PAIRS, CPU)
    with torch.no_grad(), state_norms(on_cpu(model)) as norms:
        model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    assert [tuple(norm.shape) for norm in norms] == [tuple(batch.input_ids.shape)] * 3
    assert all((norm[batch.attention_mask == 1] > 0).all() for norm in norms)


def shares_of_a_real_model(source, tmp_path, texts):
    """What the residual states of a real model say of first and of other tokens."""
    import_model(ImportSettings(source=source), files=[], model=tmp_path / "model")
    loaded = load_model(tmp_path / "model", DeviceSettings(device="cpu", dtype="float32"))
    pairs = [(loaded.tokenizer(text)["input_ids"], [5]) for text in texts]
    seen = MassiveTokens()
    task_means(loaded, pairs, SETTINGS, "real", seen)
    return seen.shares()


REAL_TEXTS = [
    "Once upon a time there was a little girl. She loved to play in the garden, and she had a red ball.\nThe end.",
    "The report says that sales rose by 3.5 % in May. Analysts had expected less.",
]


@pytest.mark.skipif(not (SHARED / "models" / "stories260K").exists(), reason="needs the real models of ../shared")
def test_a_small_real_model_has_no_sinks_elsewhere(tmp_path):
    source = {"path": str(SHARED / "models" / "stories260K")}
    assert shares_of_a_real_model(source, tmp_path, REAL_TEXTS)["massive_others"] == 0


@pytest.mark.skipif(not WEIGHTS.exists(), reason="needs the weights of SmolLM2 (make weights)")
def test_the_sinks_of_a_real_llm_are_its_first_tokens(tmp_path):
    shares = shares_of_a_real_model({"gguf": str(WEIGHTS)}, tmp_path, REAL_TEXTS)
    assert shares == {"massive_sinks": 1, "massive_others": 0}


# ---- scores from the mean ----


def test_products_equal_the_derivative_of_the_ablation_in_float64(any_model):
    """Σ (ω − ω̄)·∂L/∂ω is minus the slope of L at the start of the way from ω to ω̄, for every neuron and sample."""
    model, means = any_model, means_of(any_model)
    values = torch.from_numpy(means.values).split([block.width for block in blocks(model)])
    for pair in PAIRS:
        batch = collate([pair], CPU)
        steps = [torch.zeros_like(part, requires_grad=True) for part in values]

        def visit(block, token, omega, steps=steps):
            return omega if token == 0 else omega + steps[block] * (values[block] - omega)

        loss = brute_force(model.requires_grad_(False), batch, visit).sum()
        slopes = torch.autograd.grad(loss, steps, allow_unused=True)
        expected = -torch.cat([torch.zeros_like(v) if s is None else s for s, v in zip(slopes, values, strict=True)])
        got = sample_products(model, batch, means=means)[0]
        assert got.abs().max() > 0
        assert torch.allclose(got, expected, rtol=1e-8, atol=1e-12)
        both = signed_and_absolute_products(model, batch, means=means)[:, 0]
        assert torch.equal(both[0], got)
        assert (both[1] >= got.abs() - 1e-12).all()


def test_without_means_the_products_are_the_papers(loaded):
    batch = collate(PAIRS, CPU)
    change = changes_of(loaded.model, batch, None)
    omega = torch.ones(1)
    assert change(None, omega) is omega
    of_zeros = MeanOutputs(np.zeros(sum(widths(loaded.model))), tuple(widths(loaded.model)))
    # Only the tokens of sinks lie between the two.
    papers, from_zeros = sample_products(loaded.model, batch), sample_products(loaded.model, batch, means=of_zeros)
    assert not torch.allclose(papers, from_zeros, rtol=1e-3)


@pytest.mark.parametrize("aggregation", ["sample", "token", "total"])
def test_scores_from_the_mean_are_made_of_its_products(loaded, aggregation):
    means = means_of(loaded.model)
    settings = SETTINGS.model_copy(update={"aggregation": aggregation})
    sums = attribute(loaded, PAIRS, settings, np.zeros((0, 3)), None, means)
    parts = [signed_and_absolute_products(loaded.model, collate([pair], CPU), means=means)[:, 0] for pair in PAIRS]
    signed, absolute = torch.stack(parts).double().numpy().transpose(1, 0, 2)
    expected = {"sample": np.abs(signed), "token": absolute, "total": signed}[aggregation].sum(axis=0)
    assert np.allclose(sums.score, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
