"""Continual learning by whole models and by neurons: against trainings and masks by hand, and each other."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch

from conftest import TRAINING, KilledError, killed_at, loaded_of
from stages import (
    TASKS,
    answering_model,
    answers,
    bits,
    learn_all,
    method_of,
    pairs_of,
    random_of,
    same,
    stage_of,
    state_of,
    top_of,
)
from taskneurons.continual.features import FOLDS, REACH, SCATTER, reach, squared_distances, statistics, task_features
from taskneurons.continual.method import Lesson, State
from taskneurons.core.named import names
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import NeuronSet, union_of
from taskneurons.training.loop import WholeModel, train
from taskneurons.tuning.trained_neurons import trained_neurons
from test_group_tuning import FFN, UNCLIPPED, entries

PROMPTS = [prompt for task in TASKS for prompt, _ in pairs_of(task)[:2]]
SEQUENCE = TASKS[:2]
METHODS = names("continual.methods")


def by_hand(base, trained, pairs, settings=TRAINING):
    """A training without a method."""
    train(base.model, trained, pairs, settings, base.compute, 0, "by hand")


def moved(one, other) -> dict[str, torch.Tensor]:
    """Parameter → which of its entries differ, where some do."""
    found = {name: one[name] != other[name] for name in one}
    return {name: flags for name, flags in found.items() if flags.any()}


def only_entries_of(neurons: NeuronSet, model, before, after) -> None:
    """Nothing but entries of these neurons differs, and of each FFN parameter some do."""
    belonging = entries(model, neurons)
    differing = moved(before, after)
    assert set(differing) == {name for name, flags in belonging.items() if flags.any()}
    for name, flags in differing.items():
        assert not (flags & ~belonging[name]).any(), name


# ---- whole models ----


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_seqft_is_one_training_after_the_other(family, tmp_path):
    stages = learn_all("seqft", TASKS, tmp_path, family=family)
    expected = loaded_of(family)
    for number, (task, (stage, learnt)) in enumerate(zip(TASKS, stages, strict=True), start=1):
        by_hand(expected, WholeModel(expected.model), pairs_of(task))
        assert same(bits(stage.base.model), bits(expected.model))
        known = state_of(stages[:number], TASKS[:number])
        assert same(answering_model("seqft", known, PROMPTS), bits(expected.model))
        assert learnt.parameters == sum(parameter.numel() for parameter in expected.model.parameters())
        assert learnt.kept_bytes == 0 and len(learnt.history) == 8


def test_joint_training_sees_all_tasks_at_once(tmp_path):
    [(_, learnt)] = stages = learn_all("joint", SEQUENCE, tmp_path)
    expected = loaded_of("llama")
    by_hand(expected, WholeModel(expected.model), [*pairs_of("one"), *pairs_of("two")])
    assert same(answering_model("joint", state_of(stages, SEQUENCE), PROMPTS), bits(expected.model))
    assert learnt.kept_bytes == 0 and len(learnt.history) == 16


def test_a_task_that_has_a_model_of_its_own_forgets_nothing(tmp_path):
    stages = learn_all("per_task_ft", SEQUENCE, tmp_path)
    state = state_of(stages, SEQUENCE)
    for task, (_, learnt) in zip(SEQUENCE, stages, strict=True):
        expected = loaded_of("llama")
        by_hand(expected, WholeModel(expected.model), pairs_of(task))
        assert same(answering_model("per_task_ft", state, PROMPTS, task), bits(expected.model))
        assert learnt.kept_bytes == 4 * learnt.parameters
    # one that was not learnt yet is the base model's
    assert same(answering_model("per_task_ft", state, PROMPTS, "three"), bits(loaded_of("llama").model))


# ---- neurons ----

SETS = {"ncft": top_of, "ncft_random": random_of}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("name", SETS)
def test_neurons_are_trained_one_task_after_the_other(name, family, tmp_path):
    """The values that the stages kept make the model at the end of the last, to the bit."""
    stages = learn_all(name, TASKS, tmp_path, family=family)
    expected, before = loaded_of(family), bits(loaded_of(family).model)
    for number, (task, (stage, learnt)) in enumerate(zip(TASKS, stages, strict=True), start=1):
        with trained_neurons(expected.model, SETS[name](task, expected.model)) as trained:
            by_hand(expected, trained, pairs_of(task))
        assert same(bits(stage.base.model), bits(expected.model))
        found = answering_model(name, state_of(stages[:number], TASKS[:number]), PROMPTS)
        assert same(found, bits(expected.model))
        sets = [SETS[name](task, expected.model) for task in TASKS[:number]]
        only_entries_of(union_of(sets), expected.model, before, found)
        assert learnt.parameters == sum(int(flags.sum()) for flags in entries(expected.model, sets[-1]).values())
        assert learnt.kept_bytes == 0


def test_random_neurons_are_as_many_in_each_layer(tmp_path):
    model = loaded_of("llama").model
    own, drawn = (
        [kept["neurons"].numpy() for _, learnt in learn_all(name, SEQUENCE, tmp_path) for kept in [learnt.tensors]]
        for name in ("ncft", "ncft_random")
    )
    ends = np.cumsum(widths(model))
    for one, other in zip(own, drawn, strict=True):
        layers = [np.bincount(np.searchsorted(ends, which, side="right"), minlength=3) for which in (one, other)]
        assert layers[0].tolist() == layers[1].tolist() and set(one) != set(other)
    assert set(drawn[0]) != set(drawn[1])
    reseeded = learn_all("ncft_random", ["one"], tmp_path, seed=1)[0][1].tensors["neurons"]
    assert set(reseeded.tolist()) != set(drawn[0])


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom"])
def test_ncft_of_all_neurons_is_training_the_ffn_without_its_output_bias(family, tmp_path):
    settings = UNCLIPPED.at(1e-2)
    stages = learn_all("ncft", SEQUENCE, tmp_path, family=family, training=settings, percent=100.0)
    dense, before = loaded_of(family), bits(loaded_of(family).model)
    for task in SEQUENCE:
        ffn = FFN(dense.model)
        by_hand(dense, ffn, pairs_of(task), settings)
    found = answering_model("ncft", state_of(stages, SEQUENCE), PROMPTS)
    assert same(found, bits(dense.model))
    assert set(moved(before, found)) == set(ffn.found)
    assert stages[-1][1].parameters == sum(parameter.numel() for parameter in ffn.parameters())


# ---- the weighted forms ----


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_with_one_task_the_weighted_forms_are_ncft(family, tmp_path):
    """Its weight is 1: the literal form is NCFT to the bit, the other, which adds a difference, to rounding."""
    of_ncft = learn_all("ncft", ["one"], tmp_path, family=family)
    expected = answering_model("ncft", state_of(of_ncft, ["one"]), PROMPTS)
    for name in ("w_ncft", "w_ncft_delta"):
        found = answering_model(
            name, state_of(learn_all(name, ["one"], tmp_path, family=family), ["one"]), PROMPTS, "one"
        )
        if name == "w_ncft":
            assert same(found, expected)
        for parameter, tensor in expected.items():
            torch.testing.assert_close(found[parameter], tensor, rtol=1e-6, atol=1e-7)


def mean_state(model, prompts) -> np.ndarray:
    """The mean over prompts of their tokens' mean last hidden states, one prompt after the other."""
    with torch.no_grad():
        states = [
            model(torch.tensor([prompt]), output_hidden_states=True).hidden_states[-1][0].double().mean(dim=0)
            for prompt in prompts
        ]
    return torch.stack(states).mean(dim=0).numpy()


def softmax_of_cosines(model, tested: np.ndarray, tasks: list[str], temperature: float = 1.0) -> np.ndarray:
    vectors = [mean_state(model, [prompt for prompt, _ in pairs_of(task)]) for task in tasks]
    cosines = [tested @ vector / np.linalg.norm(tested) / np.linalg.norm(vector) for vector in vectors]
    powers = np.exp(np.array(cosines) / temperature)
    return powers / powers.sum()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("tested", ["two", "three"])
def test_w_ncft_multiplies_the_neurons_of_each_task_by_its_weight(tested, family, tmp_path):
    """Entries by hand; `three` was not learnt yet, and is known by the tested prompts."""
    state = state_of(learn_all("w_ncft", SEQUENCE, tmp_path, family=family), SEQUENCE)
    prompts = [prompt for prompt, _ in pairs_of(tested)]
    model = loaded_of(family).model
    weights = softmax_of_cosines(model, mean_state(model, prompts), SEQUENCE)
    plain = answering_model("ncft", state, PROMPTS)
    found = answering_model("w_ncft", state, prompts, tested)
    masks = [entries(model, top_of(task, model)) for task in SEQUENCE]
    assert all((masks[0][name] * masks[1][name]).any() for name in masks[0])  # some are of both tasks
    for name, tensor in plain.items():
        one, two = (mask.get(name, torch.zeros_like(tensor)) for mask in masks)
        factor = torch.where((one + two) > 0, one * weights[0] + two * weights[1], torch.ones(()).double())
        torch.testing.assert_close(found[name].double(), tensor.double() * factor, rtol=1e-5, atol=1e-7)
    assert 0.3 < weights[0] < 0.7 and moved(plain, found)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("tested", ["two", "three"])
def test_w_ncft_delta_adds_weighted_differences(tested, family, tmp_path):
    """From the models that the stages left behind, in float64."""
    stages = learn_all("w_ncft_delta", SEQUENCE, tmp_path, family=family, knob=0.5)
    state = state_of(stages, SEQUENCE)
    prompts = [prompt for prompt, _ in pairs_of(tested)]
    model = loaded_of(family).model
    weights = softmax_of_cosines(model, mean_state(model, prompts), SEQUENCE, 0.5)
    weights /= weights.max()
    models = [bits(model), *(bits(stage.base.model) for stage, _ in stages)]
    found = answering_model("w_ncft_delta", state, prompts, tested)
    for name, tensor in models[0].items():
        changes = [after[name].double() - before[name].double() for before, after in pairwise(models)]
        expected = tensor.double() + weights[0] * changes[0] + weights[1] * changes[1]
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-5, atol=1e-7)
    assert moved(models[-1], found)


# ---- all methods ----


@pytest.mark.parametrize("name", METHODS)
def test_all_prompts_are_answered_once_and_the_bits_are_back(name, tmp_path):
    """Also when answering is given up half-way."""
    state = state_of(learn_all(name, SEQUENCE, tmp_path), SEQUENCE)
    task = "one" if method_of(name).NEEDS_TASK_ID else None
    found = answers(name, state, PROMPTS, task)
    assert sorted(row for rows, _, _ in found for row in rows) == list(range(len(PROMPTS)))
    before = bits(state.base.model)
    answering = method_of(name).answering(state, PROMPTS, task)
    next(answering)
    answering.close()
    assert same(bits(state.base.model), before)


# gpt2 has dropout: the random state matters
@pytest.mark.parametrize(
    ("name", "family"), [*((name, "llama") for name in METHODS), ("ncft", "gpt2"), ("ewc", "gpt2")]
)
def test_a_killed_stage_goes_on_to_the_same_bits(name, family, steps, tmp_path, monkeypatch):
    learns = method_of(name).LEARNS
    before = learn_all(name, ["one"], tmp_path, family=family) if learns == "in sequence" else []
    second = partial(stage_of, name, SEQUENCE, [learnt.tensors for _, learnt in before], family=family)
    whole = second(tmp_path / "whole")
    expected = method_of(name).learn(whole)
    broken = second(tmp_path / "killed")
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(5, patch)
        method_of(name).learn(broken)
    done = len(steps)
    resumed = second(tmp_path / "killed")
    found = method_of(name).learn(resumed)
    assert len(steps) - done == len(expected.history) - 5
    assert same(found.tensors, expected.tensors) and found.history.equals(expected.history)
    assert (found.parameters, found.kept_bytes) == (expected.parameters, expected.kept_bytes)


IN_SEQUENCE = [name for name in METHODS if method_of(name).LEARNS == "in sequence"]


@pytest.mark.parametrize("name", IN_SEQUENCE)
def test_what_a_method_needs_is_all_that_it_looks_at(name, tmp_path):
    """A third stage that is given what all stages kept is the one that is given what NEEDS says."""
    stages = learn_all(name, TASKS, tmp_path / "given")
    kept = [learnt.tensors for _, learnt in stages[:2]]
    stage = stage_of(name, TASKS, kept, tmp_path / "all")
    expected = method_of(name).learn(replace(stage, kept=kept))
    assert same(stages[2][1].tensors, expected.tensors)


# ---- features ----


def test_a_tasks_features_are_those_of_its_prompts_class_by_class():
    base, pairs = loaded_of("llama"), pairs_of("one")
    found = task_features(base, Lesson("one", pairs))
    rows = np.array([mean_state(base.model, [prompt]) for prompt, _ in pairs])
    classes = [rows[::2], rows[1::2]]
    np.testing.assert_allclose(found["features.mean"], rows.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["features.means"], [one.mean(axis=0) for one in classes], rtol=1e-5, atol=1e-6)
    scatter = sum(np.cov(one.T, bias=True) * len(one) for one in classes)
    np.testing.assert_allclose(found[SCATTER], scatter, rtol=1e-4, atol=1e-5)
    assert found["features.count"].tolist() == [8]
    assert 0 < found[REACH] < np.inf


def drawn(number: int, seed: int, size: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of three classes."""
    random = torch.Generator().manual_seed(seed)
    classes = torch.arange(number) % 3
    middles = 3 * torch.randn(3, size, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    return middles[classes] + torch.randn(number, size, generator=random, dtype=torch.float64), classes


def test_nearly_all_other_prompts_of_a_task_are_within_its_reach():
    """A hundred prompts of 60 dimensions: within what they themselves would give there is next to no other prompt."""
    features, classes = drawn(100, 0)
    kept, limit = statistics(features, classes), reach(features, classes)
    others = squared_distances([kept], drawn(1000, 1)[0])
    assert (others <= limit).double().mean() > 0.95
    own = squared_distances([kept], features).quantile(0.99)
    assert (others <= own).double().mean() < 0.5
    away = drawn(1000, 1)[0] + 3
    assert (squared_distances([kept], away) <= limit).double().mean() < 0.05


def test_with_too_few_prompts_the_reach_is_infinite():
    features, classes = drawn(FOLDS + 1, 0)
    assert reach(features[:1], classes[:1]) == np.inf
    assert reach(features[:3], classes[:3]) == np.inf  # one of each class: nothing is around the means
    assert reach(features, classes) < np.inf


def test_a_state_before_the_first_stage_is_the_base_models(tmp_path):
    """For the methods that ask what there is of a task."""
    base = loaded_of("llama")
    settings = stage_of("ncft", ["one"], [], tmp_path).settings
    for name in ("ncft", "per_task_ft"):
        found = answering_model(name, State(base, [], [], settings), PROMPTS, "one")
        assert same(found, bits(loaded_of("llama").model))
