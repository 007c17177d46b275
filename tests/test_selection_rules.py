"""Selection rules on values that are small enough to work out by hand, and the properties of their sets."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskneurons.core.artifacts import write_frame
from taskneurons.core.errors import UserError
from taskneurons.core.named import named, names
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.neuron_set import top_share
from taskneurons.selection.comparison import Comparison
from taskneurons.selection.select import SelectionSettings, main

RULES = names("selection.rules")

FAMILIES = ["x", "x", "y", "z"]
# Ten neurons in two layers. Neurons 0 and 1 matter to every task, 2 to the family x, 3 and 4 to the first task alone.
VALUES = np.array(
    [
        [9, 8, 7, 6, 5, 1, 1, 1, 1, 1],
        [9, 8, 7, 1, 1, 6, 1, 1, 1, 1],
        [9, 8, 1, 1, 1, 1, 7, 1, 1, 1],
        [9, 8, 1, 1, 1, 1, 1, 7, 1, 1],
    ],
    dtype=float,
)


def select(name, k, values=VALUES, own=0, scope="global", core_share=100, families=FAMILIES):
    compared = Comparison(values, own, families, (5, 5), scope, core_share)
    return named("selection.rules", name).select(compared, k)


def chosen(name, k, **changes):
    return np.flatnonzero(select(name, k, **changes).selected).tolist()


def test_by_hand():
    assert chosen("global", 30) == [0, 1, 2]
    assert chosen("per-layer", 20) == [0, 5]
    assert chosen("exclusive", 30) == []
    assert chosen("exclusive", 40) == [3]
    # Ratios of normalised values to the largest of the tasks y and z (sums 40 and 31): 2 has 5.4, 3 has 4.7, 4 has 3.9.
    assert chosen("contrastive", 20) == [2, 3]
    assert chosen("contrastive-difference", 30) == [2, 3, 4]
    assert chosen("set-difference", 30) == [2]
    assert chosen("shared-core", 30) == [0, 1]
    assert chosen("inverse-cluster", 30) == [2, 3, 4]


def test_a_neuron_that_no_task_values_stands_out_for_none():
    """Dead neurons come last, those that the task alone values first."""
    values = np.array([[5, 4, 3, 2, 0, 0, 1, 1, 1, 1], [5, 1, 1, 1, 0, 0, 1, 1, 1, 1], [5, 4, 0, 1, 0, 0, 1, 1, 1, 1]])
    of_three = {"values": values.astype(float), "families": ["x", "y", "z"]}
    assert chosen("contrastive", 20, **of_three) == [2, 3]
    assert not {4, 5} & set(chosen("contrastive", 80, **of_three))
    values[1:, 2] = 0
    assert chosen("contrastive", 10, **of_three | {"values": values.astype(float)}) == [2]


def test_the_core_can_be_of_fewer_tasks():
    assert chosen("shared-core", 30, core_share=50) == [0, 1, 2]
    assert chosen("shared-core", 30, core_share=25) == [0, 1, 2, 6, 7]


def test_universal_are_those_in_half_of_the_tops():
    """Tops of 30 %: 0, 1 in all four; 2 in two; 6 and 7 in one each. Half of the tasks is enough, where it is two."""
    assert chosen("universal", 30) == [0, 1, 2]
    assert chosen("without-universal", 30) == []
    assert chosen("without-universal", 30, own=2) == [6]
    assert chosen("universal", 30, values=VALUES[1:3], families=FAMILIES[1:3]) == [0, 1]  # of two tasks both
    three = VALUES[:3]
    assert chosen("universal", 30, values=three, families=FAMILIES[:3]) == [0, 1, 2]  # 2 of 3 is
    assert chosen("without-universal", 40, values=three, families=FAMILIES[:3]) == [3]


def test_contrast_is_against_all_others_where_there_is_one_family():
    assert chosen("contrastive", 20, families=["x"] * 4) == [3, 4]


def test_without_control_removes_the_first_other_familys_top():
    assert chosen("weight-activation", 30) == [2]


def test_entropy_prefers_the_tasks_own():
    """Entropies are 1.003 of neuron 3, 1.070 of neuron 2, 1.074 of neuron 4; shares of 0 and 1 are not above 1/4."""
    assert chosen("activation-entropy", 20) == [2, 3]
    assert chosen("activation-entropy", 20, own=2) == [6]


values = st.lists(st.lists(st.floats(0.001, 10), min_size=10, max_size=10), min_size=4, max_size=4).map(np.array)


@given(values, st.sampled_from(RULES), st.sampled_from([10, 20, 30, 60, 100]), st.integers(0, 3))
def test_sizes(values, name, k, own):
    """Rules that subtract select at most k %, the others exactly k % (entropy: only neurons above average)."""
    scope = "per-layer" if name == "per-layer" else "global"
    size, full = len(select(name, k, values, own)), len(top_share(values[own], k, (5, 5), scope))
    if name in ("global", "per-layer", "contrastive", "contrastive-difference"):
        assert size == full
    elif name not in ("shared-core", "universal"):
        assert size <= full


@given(values, st.sampled_from([10, 20, 30, 60]))
def test_exclusive_sets_of_all_tasks_are_disjoint(values, k):
    sets = [select("exclusive", k, values, own) for own in range(4)]
    assert np.sum([one.selected for one in sets], axis=0).max() <= 1


@given(values, st.sampled_from(RULES), st.sampled_from([10, 20, 30, 60]), st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_tasks_scale_does_not_matter(values, name, k, scale):
    """Values are normalised by task; powers of two scale without rounding. (The entropy compares rates as they are.)"""
    scaled = values.copy()
    scaled[0] *= scale
    if name != "activation-entropy":
        assert select(name, k, values) == select(name, k, scaled)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_looks_at_what_its_file_says(name):
    """COMPARES: whether other tasks' values reach the set; VALUES: the scores, or a criterion that there is."""
    rule = named("selection.rules", name)
    assert rule.VALUES in names("attribution.criteria")
    others = VALUES.copy()
    others[1:] = VALUES[1:, ::-1]
    changed = [select(name, k) != select(name, k, others) for k in (20, 30, 40)]
    assert any(changed) == rule.COMPARES


@pytest.mark.parametrize("scope", ["global", "per-layer"])
def test_scope_reaches_the_comparing_rules(scope):
    counts = select("contrastive-difference", 20, scope=scope).counts()
    assert counts == ([2, 0] if scope == "global" else [1, 1])


def settings_of(rule, **changes):
    given = {
        "rule": rule,
        "k": 30,
        "families": dict(zip("abcd", FAMILIES, strict=True)),
    }
    return SelectionSettings(**{**given, "scope": "global", "core_share": 100, **changes})


def value_files(folder, kind, column, values=VALUES, tasks="abcd"):
    """A file of values for each task."""
    paths = []
    for task, row in zip(tasks, values, strict=True):
        paths.append(folder / f"{kind}-{task}.parquet")
        made = {"task": task, "model": "m", "widths": [5, 5], "experts": [None, None]}
        write_frame(paths[-1], neuron_index((5, 5)).assign(**{column: row}), kind, made)
    return paths


def masks_of(settings, folder):
    """The files that the step writes, task by task."""
    return [folder / task / f"{settings.rule}{settings.k:g}.parquet" for task in settings.families]


@pytest.mark.parametrize("rule", ["global", "exclusive"])
def test_the_step_writes_a_mask_a_task(tmp_path, rule):
    """Whatever the order of the files; the mask holds the task's own values, best first."""
    settings = settings_of(rule, k=40)
    scores = value_files(tmp_path, "scores", "score")
    masks = masks_of(settings, tmp_path)
    main(settings, scores=scores[::-1], activations=[], masks=masks[::-1])
    for task, path in zip(settings.families, masks, strict=True):
        neurons, mask = read_mask(path)
        assert neurons == select(rule, 40, own="abcd".index(task))
        assert (mask["set"], mask["rule"], mask["k"], mask["model"]) == (task, rule, 40, "m")
    frame = pd.read_parquet(masks[0])
    assert list(frame["score"]) == sorted(VALUES[0, select(rule, 40).selected], reverse=True)


def test_the_step_takes_a_rules_own_values(tmp_path):
    """A rule that looks at activations takes them from their files, and the scores for nothing but the model."""
    settings = settings_of("weight-activation")
    scores = value_files(tmp_path, "scores", "score", VALUES[:, ::-1])
    activations = value_files(tmp_path, "activations", "weight-activation")
    masks = masks_of(settings, tmp_path)
    main(settings, scores=scores, activations=activations, masks=masks)
    assert np.flatnonzero(read_mask(masks[0])[0].selected).tolist() == [2]


def test_values_that_do_not_fit_together_are_told(tmp_path):
    settings = settings_of("weight-activation")
    masks = masks_of(settings, tmp_path)
    scores = value_files(tmp_path, "scores", "score")
    activations = value_files(tmp_path, "activations", "weight-activation")

    def told(scores, activations, match):
        with pytest.raises(UserError, match=match):
            main(settings, scores=scores, activations=activations, masks=masks)
        assert not any(mask.exists() for mask in masks)

    with pytest.raises(UserError, match="are not those of the tasks"):
        main(settings, scores=scores, activations=activations, masks=masks[1:])
    told(scores[:3], activations, "no file of scores is of the task 'd'")
    told(scores, [], "no file of activations is of the task 'a'")
    told(activations, activations, "holds 'activations', where 'scores' is needed")
