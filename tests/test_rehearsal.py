"""Replay and EWC: which examples are seen again, and the penalty and the Fisher information against float64 by hand."""

import numpy as np
import pytest
import torch

from conftest import TRAINING, loaded_of
from stages import TASKS, learn_all, pairs_of, same, stage_of
from taskneurons.continual.methods import ewc, replay
from taskneurons.continual.whole_model import model_of
from taskneurons.data.encoding import collate, sample_losses

CPU = torch.device("cpu")


def weights_after(name, tasks, folder, **options):
    return [model_of(learnt.tensors) for _, learnt in learn_all(name, tasks, folder, **options)]


@pytest.mark.parametrize("family", ["llama", "gpt2"])  # gpt2 has dropout: nothing may be drawn on the way
@pytest.mark.parametrize("name", ["replay", "ewc"])
def test_at_zero_they_are_seqft_to_the_bit(name, family, tmp_path):
    expected = weights_after("seqft", TASKS[:2], tmp_path, family=family)
    found = weights_after(name, TASKS[:2], tmp_path, family=family, knob=0.0)
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(("name", "knob"), [("replay", 2.0), ("ewc", 1e3)])
def test_they_differ_from_seqft_from_the_second_stage_on(name, knob, tmp_path):
    expected = weights_after("seqft", TASKS[:2], tmp_path)
    found = weights_after(name, TASKS[:2], tmp_path, knob=knob)
    assert [same(one, other) for one, other in zip(found, expected, strict=True)] == [True, False]


# ---- replay ----


def test_exactly_the_kept_examples_are_seen_again(tmp_path, monkeypatch):
    """The first three of each earlier task, as many a step as the batch has, none twice in a step."""
    seen = []
    monkeypatch.setattr(replay, "collate", lambda pairs, device: seen.append(pairs) or collate(pairs, device))
    stages, training = [], TRAINING.model_copy(update={"epochs": 6})
    for number in (1, 2, 3):
        seen.clear()
        kept = [learnt.tensors for _, learnt in stages]
        stage = stage_of("replay", TASKS[:number], kept, tmp_path, knob=3.0, training=training)
        stages.append((stage, replay.learn(stage)))
        steps = len(stages[-1][1].history)
        stage.checkpoint.remove()
        assert steps == 6 * 4  # SeqFT's own
        allowed = [pair for task in TASKS[: number - 1] for pair in pairs_of(task)[:3]]
        assert len(seen) == (steps if number > 1 else 0)
        assert all(len(batch) == 2 and batch[0] != batch[1] for batch in seen)
        drawn = [pair for batch in seen for pair in batch]
        assert {str(pair) for pair in drawn} == {str(pair) for pair in allowed}


@pytest.mark.parametrize("batch_tokens", [1000, 8])
def test_their_gradient_is_that_of_the_mean_over_them(batch_tokens, tmp_path):
    """Fewer than the batch has: all are taken; in float64, also in parts."""
    training = TRAINING.model_copy(update={"batch_tokens": batch_tokens})
    stage = stage_of("replay", TASKS[:2], [], tmp_path, training=training)
    model, kept = stage.base.model.double(), pairs_of("one")[:3]
    losses = sample_losses(model, collate(kept, CPU))
    expected = torch.autograd.grad(losses.mean(), list(model.parameters()))
    assert replay.Replayed(stage, kept).penalty(pairs_of("two")[:4]) is None
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-12)


def test_kept_examples_are_counted_in_int32(tmp_path):
    stage, learnt = learn_all("replay", ["one"], tmp_path, knob=3.0)[0]
    assert learnt.kept_bytes == 4 * sum(len(prompt) + 2 for prompt, _ in pairs_of("one")[:3])
    assert learnt.kept_bytes < 4 * sum(len(prompt) + 2 for prompt, _ in stage.lesson.pairs)


# ---- EWC ----


def random_fisher(model, seed) -> dict:
    random = torch.Generator().manual_seed(seed)
    return {
        f"{ewc.FISHER}{name}": torch.rand(parameter.shape, generator=random)
        for name, parameter in model.named_parameters()
    }


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_penalty_and_its_gradient(family):
    """λ/2 · Σ F·(θ − θ*)², and λ·F·(θ − θ*), in float64."""
    model, strength = loaded_of(family).model, 3.0
    before = {f"weight.{name}": parameter.detach() + 0.1 for name, parameter in model.named_parameters()}
    fisher = random_fisher(model, 0)
    held = ewc.Held(model, [{}, before | fisher], strength)  # the last stage's alone
    penalty = held.penalty([])
    assert penalty is not None
    penalty.backward()
    expected = 0.0
    for name, parameter in model.named_parameters():
        information = fisher[f"{ewc.FISHER}{name}"].double().numpy()
        away = parameter.detach().double().numpy() - before[f"weight.{name}"].double().numpy()
        expected += strength / 2 * (information * away**2).sum()
        np.testing.assert_allclose(parameter.grad, strength * information * away, rtol=1e-5, atol=1e-7)
    assert penalty.item() == pytest.approx(expected, rel=1e-5) and expected > 1


def test_there_is_no_penalty_at_the_first_stage_or_without_strength():
    model = loaded_of("llama").model
    kept = {f"weight.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    assert ewc.Held(model, [], 1.0).penalty([]) is None
    assert ewc.Held(model, [kept | random_fisher(model, 0)], 0.0).penalty([]) is None


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_fisher_information_is_the_mean_of_single_samples_squared_gradients(family):
    """L of a sample by hand, from its own logits; the square of the mean gradient is something else."""
    base = loaded_of(family)
    model, pairs = base.model.double(), pairs_of("one")[:3]
    squares = {name: np.zeros(parameter.shape) for name, parameter in model.named_parameters()}
    means = {name: np.zeros(parameter.shape) for name, parameter in model.named_parameters()}
    for prompt, target in pairs:
        model.zero_grad()
        logits = model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
        (-logits.log_softmax(dim=-1)[range(len(target)), target].mean()).backward()
        for name, parameter in model.named_parameters():
            squares[name] += parameter.grad.numpy() ** 2 / len(pairs)
            means[name] += parameter.grad.numpy() / len(pairs)
    found = ewc.fisher_information(base, pairs)
    assert found.keys() == squares.keys()
    for name, expected in squares.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-8, atol=1e-18)
    assert sum((square - means[name] ** 2).sum() for name, square in squares.items()) > 0.1 * sum(
        square.sum() for square in squares.values()
    )


def test_the_fisher_information_adds_up_over_the_stages(tmp_path, monkeypatch):
    """Each one's of the model as its stage ended, on the first examples of its task; it is kept once."""
    monkeypatch.setattr(ewc, "MOST", 3)
    stages = learn_all("ewc", TASKS[:2], tmp_path)
    own = [
        ewc.fisher_information(stage.base, pairs_of(task)[:3]) for task, (stage, _) in zip(TASKS, stages, strict=False)
    ]
    first, second = (ewc.fisher_of(learnt.tensors) for _, learnt in stages)
    for name in own[0]:
        torch.testing.assert_close(first[name], own[0][name], rtol=1e-6, atol=0)
        torch.testing.assert_close(second[name], own[0][name] + own[1][name], rtol=1e-6, atol=0)
    assert [learnt.kept_bytes for _, learnt in stages] == [4 * stages[0][1].parameters, 0]


def test_what_mattered_is_held(tmp_path):
    """The stronger the penalty, the less Σ F·(θ − θ*)² there is after the second stage."""
    moved = []
    for knob in (0.0, 1e2, 1e4):
        (_, first), (_, second) = learn_all("ewc", TASKS[:2], tmp_path, knob=knob)
        before, after, fisher = model_of(first.tensors), model_of(second.tensors), ewc.fisher_of(first.tensors)
        moved.append(sum((fisher[name] * (after[name] - before[name]) ** 2).sum().item() for name in fisher))
    assert moved[2] < moved[1] < 0.5 * moved[0]
