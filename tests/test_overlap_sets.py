"""Sets that share a given part with test tasks' neurons: exact, nested, and what their placebos promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskneurons.neurons.neuron_set import NeuronSet, top_share
from taskneurons.selection.overlap_sets import (
    MADE,
    ImpossibleError,
    Places,
    cells,
    mean_scores,
    nearest,
    places_of,
    random_order,
    union_of_tops,
)

WIDTHS = (40, 60)
GROUPS = {"train": ["a", "b"], "test": ["c", "d"], "others": ["e", "f"]}


def scores_of(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    common = rng.random(sum(WIDTHS))  # so that tasks share some of their best
    return {task: common + rng.random(sum(WIDTHS)) for task in "abcdef"}


def places_at(seed: int, percent: float) -> Places:
    return places_of(scores_of(seed), GROUPS, percent, WIDTHS, "global")


ANY = given(
    seed=st.integers(0, 2**16),
    percent=st.sampled_from([5, 10, 20, 30]),
    share=st.floats(0.1, 100),
    other=st.floats(0.1, 100),
)


def made(kind, places, share, ranks):
    """The set, or None where it is impossible."""
    try:
        return MADE[kind](places, share, ranks)
    except ImpossibleError:
        return None


@settings(max_examples=60, deadline=None)
@ANY
def test_sizes_and_overlaps_are_exact_to_one_neuron(seed, percent, share, other):
    places = places_at(seed, percent)
    ranks = random_order(100, seed, 0, "x")
    for kind in MADE:
        neurons = made(kind, places, share, ranks)
        if neurons is None:
            continue
        inside = len(neurons.intersection(places.tested))
        assert len(neurons) == places.size
        wanted = places.size * share / 100
        if kind == "controlled":
            assert abs(inside - wanted) <= 0.5 + 1e-9
        else:
            assert inside == 0
        if kind == "other-kind":
            assert abs(len(neurons.intersection(places.others)) - wanted) <= 0.5 + 1e-9


@settings(max_examples=60, deadline=None)
@ANY
def test_inside_and_outside_parts_of_a_draw_nest_over_shares(seed, percent, share, other):
    places, ranks = places_at(seed, percent), random_order(100, seed, 0, "x")
    small, large = sorted((share, other))
    for kind, union in (("controlled", places.tested), ("other-kind", places.others)):
        few, many = made(kind, places, small, ranks), made(kind, places, large, ranks)
        if few is None or many is None:
            continue
        assert len(few.intersection(union).difference(many)) == 0
        assert len(many.difference(union).difference(few)) == 0


@settings(max_examples=60, deadline=None)
@ANY
def test_score_matched_sets_replace_what_is_inside_and_nothing_else(seed, percent, share, other):
    places, ranks = places_at(seed, percent), random_order(100, seed, 0, "x")
    drawn, placebo = made("controlled", places, share, ranks), made("score-matched", places, share, ranks)
    if placebo is not None:
        assert drawn.difference(places.tested) == placebo.intersection(drawn)
        assert len(placebo.difference(drawn)) == len(drawn.intersection(places.tested))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    small=st.floats(1, 100),
    large=st.floats(1, 100),
    scope=st.sampled_from(["global", "per-layer"]),
)
def test_proportions_nest(seed, small, large, scope):
    small, large = sorted((small, large))
    scores = scores_of(seed)
    few, many = (union_of_tops(scores, ["a", "b"], percent, WIDTHS, scope) for percent in (small, large))
    assert len(few.difference(many)) == 0
    assert many == top_share(scores["a"], large, WIDTHS, scope).union(top_share(scores["b"], large, WIDTHS, scope))
    assert len(union_of_tops(scores, ["a", "b"], 100, WIDTHS, scope)) == sum(WIDTHS)


def by_hand(wanted, offered):
    """The nearest offers, by a loop over all that are left."""
    left, found = list(range(len(offered))), []
    for value in sorted(wanted, reverse=True):
        best = min(left, key=lambda one: (abs(offered[one] - value), offered[one], one))
        left.remove(best)
        found.append(best)
    return found


@settings(max_examples=200, deadline=None)
@given(
    wanted=st.lists(st.integers(0, 12).map(float), max_size=6),
    offered=st.lists(st.integers(0, 12).map(float), min_size=6, max_size=9),
)
def test_nearest_scores(wanted, offered):
    assert nearest(np.array(wanted), np.array(offered)) == by_hand(wanted, offered)


def flags(*chosen, number=10):
    return NeuronSet(np.isin(np.arange(number), chosen), (number,))


# Four neurons are trained; three are the test tasks', two the other kind's.
HAND = Places(flags(0, 1, 2, 3), flags(3, 4, 5), flags(6, 7), np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0.0]))


def test_cells_by_hand():
    """In the order 9, 8, … 0, the first inside and outside each union."""
    ranks = np.arange(10)[::-1]
    assert MADE["controlled"](HAND, 50, ranks) == flags(5, 4, 9, 8)
    assert MADE["other-kind"](HAND, 50, ranks) == flags(7, 6, 9, 8)
    # 4 and 5 have the scores 5 and 4; left outside are 0, 1, 2, 6, 7 of 9, 8, 7, 3, 2: 3 and then 2 are the nearest.
    assert MADE["score-matched"](HAND, 50, ranks) == flags(6, 7, 9, 8)
    columns = HAND.columns(flags(5, 4, 9, 6))
    assert columns == {
        "n_neurons": 4,
        "overlap": 50,
        "other": 25,
        "jaccard": 40,
        "mean_score": pytest.approx((4 + 5 + 0 + 3) / 4),
    }


@pytest.mark.parametrize(
    ("kind", "share", "places", "told"),
    [
        ("controlled", 100, HAND, "4 neurons are needed in the test tasks' union, where there are 3"),
        ("score-matched", 100, HAND, "4 neurons are needed in the test tasks' union, where there are 3"),
        (
            "other-kind",
            75,
            HAND,
            "3 neurons are needed in the other test groups' union without the test tasks', where there are 2",
        ),
        (
            "controlled",
            10,
            Places(flags(0, 1, 2, 3), flags(3, 4, 5, 6, 7, 8, 9), flags(0), np.ones(10)),
            "4 neurons are needed outside the test tasks' union, where there are 3",
        ),
        (
            "score-matched",
            50,
            Places(flags(0, 1, 2, 3), flags(3, 4, 5, 6, 7, 8, 9), flags(0), np.ones(10)),
            "2 neurons are needed outside the test tasks' union and the set, where there are 1",
        ),
        (
            "other-kind",
            25,
            Places(flags(0, 1, 2, 3), flags(3, 4, 5, 6, 7, 8), flags(0, 9), np.ones(10)),
            "3 neurons are needed outside both unions, where there are 2",
        ),
        (
            "other-kind",
            25,
            Places(flags(0, 1, 2, 3), flags(3), flags(), np.ones(10)),
            "no other test group has neurons outside the test tasks' union",
        ),
    ],
)
def test_impossible_cells_say_why(kind, share, places, told):
    (cell,) = [one for one in cells(places, "x", [share], 1, 0) if one.kind == kind]
    assert (cell.neurons, cell.reason, cell.columns) == (None, told, {"n_neurons": places.size})


def test_draws_are_the_seeds_and_differ():
    places = places_at(3, 20)

    def drawn(pair, seed):
        return {
            (one.kind, one.share, one.draw): one.neurons.selected.tolist()
            for one in cells(places, pair, [30, 60], 3, seed)
            if one.neurons is not None
        }

    first = drawn("x", 0)
    assert first == drawn("x", 0)
    assert first["controlled", 30, 0] != first["controlled", 30, 1] != first["controlled", 30, 2]
    for other in (drawn("y", 0), drawn("x", 1)):
        assert other["controlled", 30, 0] != first["controlled", 30, 0]
        assert other["natural", None, 0] == first["natural", None, 0] == places.trained.selected.tolist()


def test_scores_are_compared_as_multiples_of_their_tasks_mean():
    scores = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([40.0, 10.0, 10.0])}
    assert mean_scores(scores, ["a", "b"]) == pytest.approx([(0.5 + 2) / 2, (1 + 0.5) / 2, (1.5 + 0.5) / 2])
    assert mean_scores(scores, ["a"]) == pytest.approx([0.5, 1, 1.5])


def test_the_other_kinds_union_is_without_the_test_tasks():
    places = places_at(1, 20)
    tops = {task: top_share(scores, 20, WIDTHS) for task, scores in scores_of(1).items()}
    assert places.others == tops["e"].union(tops["f"]).difference(tops["c"].union(tops["d"]))
    assert (places.trained, places.tested) == (tops["a"].union(tops["b"]), tops["c"].union(tops["d"]))
