"""Set logic of neuron sets, as properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskneurons.core.artifacts import write_frame
from taskneurons.core.errors import UserError
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mask_file import read_mask, write_mask
from taskneurons.neurons.neuron_set import (
    NeuronSet,
    chance_jaccard,
    intersection_of,
    random_in_layers,
    random_set,
    ranking,
    shared_core,
    top_share,
    union_of,
    with_overlap,
)

WIDTHS = (5, 7, 3)
flags = st.lists(st.booleans(), min_size=15, max_size=15).map(lambda bits: NeuronSet(np.array(bits), WIDTHS))
score_lists = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=15, max_size=15).map(np.array)


@given(flags, flags)
def test_union_intersection_and_jaccard_agree_with_python_sets(a, b):
    one, other = set(np.flatnonzero(a.selected)), set(np.flatnonzero(b.selected))
    assert set(np.flatnonzero(a.union(b).selected)) == one | other
    assert set(np.flatnonzero(a.intersection(b).selected)) == one & other
    assert a.jaccard(b) == pytest.approx(len(one & other) / len(one | other) if one | other else 1)
    assert a.jaccard(b) == b.jaccard(a)


@given(st.lists(flags, min_size=1, max_size=4))
def test_union_of_many(sets):
    assert set(np.flatnonzero(union_of(sets).selected)) == set().union(*(set(np.flatnonzero(s.selected)) for s in sets))


@given(st.lists(flags, min_size=1, max_size=4), st.integers(1, 100))
def test_intersection_and_core_of_many(sets, share):
    members = [set(np.flatnonzero(one.selected)) for one in sets]
    assert set(np.flatnonzero(intersection_of(sets).selected)) == set.intersection(*members)
    assert shared_core(sets, 100) == intersection_of(sets)
    expected = {n for n in range(15) if 100 * sum(n in one for one in members) >= share * len(sets)}
    assert set(np.flatnonzero(shared_core(sets, share).selected)) == expected


@given(flags, flags)
def test_difference(a, b):
    assert a.difference(b).union(a.intersection(b)) == a
    assert len(a.difference(b).intersection(b)) == 0


@given(score_lists, flags, st.integers(0, 15), st.sampled_from([0, 25, 50, 100]))
def test_a_set_with_a_preset_overlap(scores, other, size, share):
    inside = int(np.floor(size * share / 100 + 0.5))
    ranks = ranking(scores, WIDTHS)
    if inside > len(other) or size - inside > 15 - len(other):
        with pytest.raises(ValueError, match="are asked for where there are"):
            with_overlap(ranks, other, size, share)
        return
    found = with_overlap(ranks, other, size, share)
    assert (len(found), len(found.intersection(other))) == (size, inside)
    for part in (other.selected, ~other.selected):
        taken, left = scores[part & found.selected], scores[part & ~found.selected]
        assert not len(taken) or not len(left) or taken.min() >= left.max()


@given(flags, st.integers(0, 5))
def test_random_in_layers_matches_every_layer(like, seed):
    assert random_in_layers(like.counts(), WIDTHS, seed).counts() == like.counts()


@given(score_lists, st.floats(min_value=0.1, max_value=100), st.sampled_from(["global", "per-layer"]))
def test_top_share_holds_the_best_and_the_right_number(scores, percent, scope):
    chosen = top_share(scores, percent, WIDTHS, scope)
    parts = (
        [(scores, chosen.selected)]
        if scope == "global"
        else zip(np.split(scores, [5, 12]), chosen.by_layer(), strict=True)
    )
    for part, selected in parts:
        assert abs(max(1, len(part) * percent / 100) - selected.sum()) <= 0.5
        if not selected.all():
            assert part[selected].min() >= part[~selected].max()


@given(score_lists, st.integers(1, 99))
def test_top_shares_are_nested(scores, percent):
    small, large = top_share(scores, percent, WIDTHS), top_share(scores, percent + 1, WIDTHS)
    assert len(small.intersection(large)) == len(small)


def test_ties_go_to_the_lower_neuron():
    assert np.flatnonzero(top_share(np.ones(15), 20, WIDTHS).selected).tolist() == [0, 1, 2]


def test_chance_of_six_independent_sets():
    """The figures of method.md: unions of three of six independent sets of 10/30/50/70 %."""
    for percent, expected in ((10, 15.7), (30, 48.9), (50, 77.8), (70, 94.7)):
        union = round(1_000_000 * (1 - (1 - percent / 100) ** 3))
        assert 100 * chance_jaccard(union, union, 1_000_000) == pytest.approx(expected, abs=0.06)


def test_random_sets_meet_chance():
    rates = [random_set(3000, (10_000,), s).jaccard(random_set(5000, (10_000,), s + 100)) for s in range(20)]
    assert np.mean(rates) == pytest.approx(chance_jaccard(3000, 5000, 10_000), abs=0.005)


def test_random_set_has_its_size_and_is_reproducible():
    one = random_set(6, WIDTHS, 1)
    assert len(one) == 6
    assert one == random_set(6, WIDTHS, 1)
    assert one != random_set(6, WIDTHS, 2)


def test_sets_of_different_models_do_not_mix():
    with pytest.raises(ValueError, match="different models"):
        random_set(2, (4, 4), 0).union(random_set(2, (8,), 0))


@given(score_lists)
def test_masks_survive_a_file(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("masks") / "mask.parquet"
    chosen = top_share(scores, 30, WIDTHS)
    write_mask(path, chosen, [None] * 3, scores, {"set": "x"})
    read, metadata = read_mask(path)
    assert read == chosen
    assert metadata["set"] == "x"


def test_a_wrong_file_is_refused_by_name(tmp_path):
    path = tmp_path / "scores.parquet"
    write_frame(path, neuron_index(WIDTHS), "scores", {})
    with pytest.raises(UserError, match=r"scores\.parquet holds 'scores', where 'mask' is needed"):
        read_mask(path)
    with pytest.raises(UserError, match="does not exist"):
        read_mask(tmp_path / "absent.parquet")


def test_sets_of_two_models_are_not_joined_but_compared():
    one, other = NeuronSet(np.array([True, False]), (2,), "a"), NeuronSet(np.array([True, True]), (2,), "b")
    free = NeuronSet(np.array([False, True]), (2,))
    with pytest.raises(ValueError, match="neuron sets of different models: a and b"):
        one.union(other)
    assert one.jaccard(other) == 0.5
    assert one.union(free).model == free.difference(one).model == "a"
