"""Dynamic NCFT and its control: the router against scipy and planted Gaussians, mixtures against weights by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from conftest import loaded_of
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
    state_of,
    top_of,
)
from taskneurons.continual.features import MEANS, REACH, SCATTER, SHRINKAGE, reach, statistics
from taskneurons.continual.method import State
from taskneurons.continual.routing import NONE, groups, known, posterior, rounded
from taskneurons.neurons.neuron_set import union_of
from test_group_tuning import entries

SEQUENCE = TASKS[:2]
PROMPTS = {task: [prompt for prompt, _ in pairs_of(task)] for task in TASKS}

# ---- the router ----


def planted(middles: list, number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features around the means of a task's classes, with one covariance that is no multiple of the identity."""
    middles = torch.tensor(middles, dtype=torch.float64)
    random = torch.Generator().manual_seed(seed)
    spread = torch.eye(middles.shape[1], dtype=torch.float64)
    spread[0, 0], spread[1, 0] = 2, 1.5
    classes = torch.arange(number) % len(middles)
    noise = torch.randn(number, middles.shape[1], generator=random, dtype=torch.float64)
    return middles[classes] + noise @ spread.T, classes


def learnt_of(middles: list, seed: int, number: int = 400) -> dict:
    features, classes = planted(middles, number, seed)
    return statistics(features, classes) | {REACH: reach(features, classes)}


# Six dimensions; the tasks have two classes, which lie closer to each other than to other tasks'.
MIDDLES = {
    "a": [[0, 0, 0, 0, 0, 0], [0, 0, 4, 0, 0, 0]],
    "b": [[0, 25, 0, 0, 0, 0], [0, 25, 0, 4, 0, 0]],
    "c": [[0, 0, 0, 0, 25, 0], [0, 0, 0, 0, 25, 4]],
}


@pytest.mark.parametrize("temperature", [1.0, 7.0])
def test_the_weights_are_those_of_a_gaussian_classifier(temperature):
    """Of a task the density at its likeliest class counts; against scipy, with the covariance of all tasks by hand."""
    tasks = {"a": [[0, 0, 0], [1, 2, 0]], "b": [[2, 1, 0], [0, 0, 2], [1, 1, 1]]}
    parts = [planted(middles, 60, seed) for seed, middles in enumerate(tasks.values())]
    kept = [statistics(*part) for part in parts]
    within = [
        features[classes == number].numpy() - features[classes == number].numpy().mean(axis=0)
        for features, classes in parts
        for number in classes.unique()
    ]
    covariance = np.cov(np.concatenate(within).T, bias=True)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / 3 * np.eye(3)
    inputs = planted([[1, 1, 0], [0, 1, 1]], 20, 9)[0]
    densities = np.stack(
        [
            np.max([multivariate_normal(mean, covariance).pdf(inputs) for mean in one[MEANS].numpy()], axis=0)
            for one in kept
        ],
        axis=1,
    ) ** (1 / temperature)
    expected = densities / densities.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(posterior(kept, inputs, temperature), expected, rtol=1e-8)
    assert ((expected > 0.2) & (expected < 0.8)).any()


def test_tasks_that_stand_apart_are_told_without_error():
    kept = {task: learnt_of(middles, seed) for seed, (task, middles) in enumerate(MIDDLES.items())}
    inputs = torch.cat([planted(middles, 50, 10 + seed)[0] for seed, middles in enumerate(MIDDLES.values())])
    found = groups(kept, inputs, 1.0)
    told = {row: group for group in found for row in group.rows}
    assert sorted(told) == list(range(150))
    within = [row for row in range(150) if told[row].routed != NONE]
    assert len(within) >= 145  # of each task about one in a hundred is beyond its reach
    assert all(told[row].weights == {"abc"[row // 50]: 1.0} for row in within)
    assert all(told[row].routed == "abc"[row // 50] for row in within)
    assert len(found) == 3 + (len(within) < 150)


def test_inputs_of_tasks_that_look_alike_are_answered_by_both():
    kept = {"a": learnt_of(MIDDLES["a"], 0), "twin": learnt_of(MIDDLES["a"], 1), "c": learnt_of(MIDDLES["c"], 2)}
    inputs = torch.cat([planted(MIDDLES[task], 50, 10)[0] for task in ("a", "c")])
    known_groups = [group for group in groups(kept, inputs, 1.0) if group.routed != NONE]
    assert {group.routed for group in known_groups} == {"a", "twin", "c"}
    for group in known_groups:
        if group.routed == "c":
            assert group.weights == {"c": 1.0} and min(group.rows) >= 50
        else:
            assert set(group.weights) == {"a", "twin"} and max(group.rows) < 50
            assert set(group.weights.values()) <= {0.25, 0.5, 0.75} and sum(group.weights.values()) == 1
    assert len(known_groups) <= 5


def test_an_input_of_no_task_is_answered_by_none():
    kept = {task: learnt_of(MIDDLES[task], seed) for seed, task in enumerate("ab")}
    own, strange = planted(MIDDLES["a"], 200, 10)[0], planted(MIDDLES["c"], 200, 11)[0]
    assert not known(list(kept.values()), strange).any()
    assert 0.95 < known(list(kept.values()), own).double().mean() < 1
    (group,) = groups(kept, strange, 1.0)
    assert (group.rows, group.weights, group.routed) == (list(range(200)), {}, NONE)
    limitless = {task: one | {REACH: torch.tensor(torch.inf)} for task, one in kept.items()}
    assert all(group.weights for group in groups(limitless, strange, 1.0))


def test_a_reach_is_by_the_covariance_of_its_own_task():
    """And being within that of one task is enough."""
    narrow, far = learnt_of(MIDDLES["a"], 0), learnt_of([[0, 1000, 0, 0, 0, 0], [0, 1000, 0, 4, 0, 0]], 1)
    wide = far | {SCATTER: 100 * far[SCATTER]}  # of a task whose prompts lie ten times as far apart
    at = torch.zeros(2, 6, dtype=torch.float64)
    at[:, 5], at[1, 1] = 20, 1000  # 20 from a mean of each task
    assert known([narrow, far], at).tolist() == [False, False]
    assert known([narrow, wide], at).tolist() == [False, True]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0.9, 0.06, 0.04], {"a": 1.0}),  # 0.9375 of the two
        ([0.1, 0.6, 0.3], {"b": 0.75, "c": 0.25}),  # 0.67
        ([0.45, 0.15, 0.4], {"a": 0.5, "c": 0.5}),  # 0.53
        ([0.0, 0.12, 0.88], {"c": 1.0}),  # 0.88, a little nearer to 1 than to 0.75
        ([0.0, 0.13, 0.87], {"c": 0.75, "b": 0.25}),
    ],
)
def test_the_two_largest_weights_are_rounded_to_quarters(weights, expected):
    found = rounded(["a", "b", "c"], torch.tensor(weights, dtype=torch.float64))
    assert found == expected and next(iter(found)) == next(iter(expected))


def test_a_task_alone_has_all_the_weight():
    assert rounded(["a"], torch.tensor([1.0])) == {"a": 1.0}


# ---- the methods ----

SETS = {"dynamic_ncft": top_of, "routed_random": random_of}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("name", SETS)
def test_each_tasks_prompts_are_answered_by_what_was_learnt_of_it(name, family, tmp_path):
    """The very model that its stage ended with, in which only the task's neurons are not the base model's."""
    stages = learn_all(name, SEQUENCE, tmp_path, family=family, knob=1e-3)
    base = bits(loaded_of(family).model)
    found = answers(name, state_of(stages, SEQUENCE), [*PROMPTS["one"], *PROMPTS["two"]])
    assert [(rows, routed) for rows, routed, _ in found] == [
        (list(range(8)), "one"),
        (list(range(8, 16)), "two"),
    ]
    for (stage, _), (_, task, model) in zip(stages, found, strict=True):
        assert same(model, bits(stage.base.model))
        belonging = entries(stage.base.model, SETS[name](task, stage.base.model))
        differing = {key: model[key] != base[key] for key in model if (model[key] != base[key]).any()}
        assert set(differing) == set(belonging)
        assert not any((flags & ~belonging[key]).any() for key, flags in differing.items())


def test_a_stage_depends_on_no_other_task(tmp_path):
    """And its own neurons' is what NCFT makes of the task at the first stage."""
    _, (_, second) = learn_all("dynamic_ncft", SEQUENCE, tmp_path)
    ((_, alone),) = learn_all("dynamic_ncft", ["two"], tmp_path)
    assert same(second.tensors, alone.tensors)
    of_ncft = learn_all("ncft", ["two"], tmp_path)
    state = State(loaded_of("llama"), ["two"], [alone.tensors], of_ncft[0][0].settings)
    expected = answering_model("ncft", state_of(of_ncft, ["two"]), PROMPTS["two"])
    assert same(answering_model("ncft", state, PROMPTS["two"]), expected)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_mixture_of_two_is_the_base_model_and_half_of_each_difference(family, tmp_path):
    """At a high temperature all weights are alike; by the stages' own models, in float64."""
    stages = learn_all("dynamic_ncft", SEQUENCE, tmp_path, family=family, knob=1e9)
    state = state_of(stages, SEQUENCE)
    base, one, two = (bits(model) for model in (state.base.model, *(stage.base.model for stage, _ in stages)))
    found = answers("dynamic_ncft", state, [*PROMPTS["one"], *PROMPTS["two"]])
    assert [(rows, routed) for rows, routed, _ in found] == [
        (list(range(8)), "one"),
        (list(range(8, 16)), "two"),
    ]
    union = entries(state.base.model, union_of([top_of(task, state.base.model) for task in SEQUENCE]))
    for _, _, model in found:
        for name, tensor in base.items():
            difference = (one[name].double() - tensor.double()) + (two[name].double() - tensor.double())
            torch.testing.assert_close(model[name].double(), tensor.double() + difference / 2, rtol=1e-5, atol=1e-7)
            differing = model[name] != tensor
            assert not (differing & ~union[name]).any() if name in union else not differing.any()
        assert not same(model, one) and not same(model, base)


@pytest.mark.parametrize("knob", [1e-3, 1e9])
def test_the_bits_are_back_when_answering_is_given_up_half_way(knob, tmp_path):
    state = state_of(learn_all("dynamic_ncft", SEQUENCE, tmp_path, knob=knob), SEQUENCE)
    before = bits(state.base.model)
    answering = method_of("dynamic_ncft").answering(state, [*PROMPTS["one"], *PROMPTS["two"]], None)
    assert next(answering)[1] == "one"
    assert not same(bits(state.base.model), before)
    answering.close()
    assert same(bits(state.base.model), before)


def test_what_is_of_no_task_is_answered_by_the_base_model(tmp_path):
    """Once nothing is within reach of `one`, its prompts are of no task, unless the other's reach is without end."""
    stages = learn_all("dynamic_ncft", SEQUENCE, tmp_path, knob=1e-3)
    known_state = state_of(stages, SEQUENCE)
    base = bits(known_state.base.model)
    for limit, routed in ((0.0, NONE), (torch.inf, "one")):
        kept = [
            one | {REACH: torch.tensor(value).double()}
            for one, value in zip(known_state.kept, (0.0, limit), strict=True)
        ]
        state = State(known_state.base, SEQUENCE, kept, known_state.settings)
        ((rows, told, model),) = answers("dynamic_ncft", state, PROMPTS["one"])
        assert rows == list(range(8)) and told == routed
        assert same(model, base) == (routed == NONE)


def test_what_is_kept_is_counted(tmp_path):
    ((stage, learnt),) = learn_all("dynamic_ncft", ["one"], tmp_path)
    neurons, size = len(top_of("one", stage.base.model)), 16
    assert learnt.parameters == neurons * 3 * size  # gate, up and down
    # values in float32, positions as int64; mean (also as the only class's), scatter and reach in float64, and a count
    assert learnt.kept_bytes == 4 * learnt.parameters + 8 * neurons + 8 * (2 * size + size**2 + 1) + 8
