"""Selection rules on values that are small enough to work out by hand, and the properties of their sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskneurons.neurons.neuron_set import top_share
from taskneurons.selection.comparison import RULES, Comparison

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
    rule, _ = RULES[name]
    return rule(Comparison(values, own, families, (5, 5), scope, core_share), k)


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


def test_the_core_can_be_of_fewer_tasks():
    assert chosen("shared-core", 30, core_share=50) == [0, 1, 2]
    assert chosen("shared-core", 30, core_share=25) == [0, 1, 2, 6, 7]


def test_contrast_is_against_all_others_where_there_is_one_family():
    assert chosen("contrastive", 20, families=["x"] * 4) == [3, 4]


def test_without_control_removes_the_first_other_familys_top():
    assert chosen("weight-activation", 30) == [2]


def test_entropy_prefers_the_tasks_own():
    """Entropies are 1.003 of neuron 3, 1.070 of neuron 2, 1.074 of neuron 4; shares of 0 and 1 are not above 1/4."""
    assert chosen("activation-entropy", 20) == [2, 3]
    assert chosen("activation-entropy", 20, own=2) == [6]


values = st.lists(st.lists(st.floats(0.001, 10), min_size=10, max_size=10), min_size=4, max_size=4).map(np.array)


@given(values, st.sampled_from(sorted(RULES)), st.sampled_from([10, 20, 30, 60, 100]), st.integers(0, 3))
def test_sizes(values, name, k, own):
    """Rules that subtract select at most k %, the others exactly k % (entropy: only neurons above average)."""
    scope = "per-layer" if name == "per-layer" else "global"
    size, full = len(select(name, k, values, own)), len(top_share(values[own], k, (5, 5), scope))
    if name in ("global", "per-layer", "contrastive", "contrastive-difference"):
        assert size == full
    elif name != "shared-core":
        assert size <= full


@given(values, st.sampled_from([10, 20, 30, 60]))
def test_exclusive_sets_of_all_tasks_are_disjoint(values, k):
    sets = [select("exclusive", k, values, own) for own in range(4)]
    assert np.sum([one.selected for one in sets], axis=0).max() <= 1


@given(values, st.sampled_from(sorted(RULES)), st.sampled_from([10, 20, 30, 60]), st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_tasks_scale_does_not_matter(values, name, k, scale):
    """Values are normalised by task; powers of two scale without rounding. (The entropy compares rates as they are.)"""
    scaled = values.copy()
    scaled[0] *= scale
    if name != "activation-entropy":
        assert select(name, k, values) == select(name, k, scaled)


def test_every_rule_is_in_the_schema():
    import json

    from taskneurons.checks.config import SCHEMA

    names = json.loads(SCHEMA.read_text())["$defs"]["percents_of_rules"]["propertyNames"]["enum"]
    assert set(names) == {*RULES, "random"}


@pytest.mark.parametrize("scope", ["global", "per-layer"])
def test_scope_reaches_the_comparing_rules(scope):
    counts = select("contrastive-difference", 20, scope=scope).counts()
    assert counts == ([2, 0] if scope == "global" else [1, 1])
