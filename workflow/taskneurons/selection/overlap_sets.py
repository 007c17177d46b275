"""Sets of neurons to train on a group of tasks, which share a given part with the neurons of test tasks (Tables 9-11).

A group's neurons are the union of its tasks' top p %. A *cell* of the ablation has as many neurons as the union of the
training tasks' top p %; its kinds are
- natural: that union itself, which shares with the test tasks' union what top sets happen to share;
- controlled: drawn at random, so many of them in the test tasks' union that they are the asked share of the set;
- other-kind: drawn at random, so many of them in the union of the *other* test groups' tasks, without the test tasks'
  union, and none in the latter: a placebo for being anybody's important neurons;
- score-matched: the controlled set of the same draw with every neuron of the test tasks' union replaced by the one
  outside it that comes nearest in score: a placebo for being important to what is trained.
All sets of a draw follow one random order of the neurons, so that those of a kind nest where their shares do.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taskneurons.neurons.neuron_set import NeuronSet, top_share, union_of, with_overlap

Scores = dict[str, np.ndarray]

NATURAL, CONTROLLED, OTHER_KIND, SCORE_MATCHED = "natural", "controlled", "other-kind", "score-matched"


def union_of_tops(
    scores: Scores, tasks: Sequence[str], percent: float, widths: tuple[int, ...], scope: str
) -> NeuronSet:
    """The union of the tasks' top `percent` % of neurons.

    Args:
        scores: task → (n_neurons,).
        scope: of the tops: over all layers (global) or in each (per-layer).
    """
    return union_of([top_share(scores[task], percent, widths, scope) for task in tasks])


def mean_scores(scores: Scores, tasks: Sequence[str]) -> np.ndarray:
    """The mean over tasks of each neuron's score, divided by the task's mean over all neurons: 1 is the average neuron.

    Returns:
        (n_neurons,).
    """
    return np.mean([scores[task] / scores[task].mean() for task in tasks], axis=0)


@dataclass(frozen=True)
class Cell:
    """One set of the ablation, or why there is none.

    Attributes:
        kind: natural, controlled, other-kind or score-matched.
        share: the percent of the set that is asked for in the test tasks' union (in that of the other kind; of the
            controlled set whose neurons are replaced); None of the natural set.
        draw: which random order made it.
        neurons: the set; None where it cannot be made.
        reason: why it cannot.
        columns: n_neurons; percent of the set in the test tasks' union (overlap) and in that of the other kind
            (other); jaccard, with the test tasks' union, in percent; mean_score, as `mean_scores` counts.
    """

    kind: str
    share: float | None
    draw: int
    neurons: NeuronSet | None
    reason: str
    columns: dict[str, float]


@dataclass(frozen=True)
class Places:
    """Where the neurons of a pair of groups lie, at one proportion.

    Attributes:
        trained: the union of the training tasks' top p %.
        tested: that of the test tasks.
        others: that of the other test groups' tasks, without those of `tested`.
        scores: (n_neurons,), as `mean_scores` gives them of the training tasks.
    """

    trained: NeuronSet
    tested: NeuronSet
    others: NeuronSet
    scores: np.ndarray

    @property
    def size(self) -> int:
        """How many neurons a cell has."""
        return len(self.trained)

    def inside(self, share: float) -> int:
        """How many neurons a share of the set is, to the nearest."""
        return int(np.floor(self.size * share / 100 + 0.5))

    def columns(self, neurons: NeuronSet) -> dict[str, float]:
        """What is told of a set."""
        size = len(neurons)
        return {
            "n_neurons": size,
            "overlap": 100 * len(neurons.intersection(self.tested)) / size,
            "other": 100 * len(neurons.intersection(self.others)) / size,
            "jaccard": 100 * neurons.jaccard(self.tested),
            "mean_score": float(self.scores[neurons.selected].mean()),
        }


def places_of(
    scores: Scores,
    groups: dict[str, list[str]],
    percent: float,
    widths: tuple[int, ...],
    scope: str,
) -> Places:
    """Where the neurons of a pair of groups lie.

    Args:
        groups: the tasks of train, test and others (which may be none).
    """
    tested = union_of_tops(scores, groups["test"], percent, widths, scope)
    nothing = NeuronSet(np.zeros(sum(widths), dtype=bool), widths)
    others = union_of_tops(scores, groups["others"], percent, widths, scope) if groups["others"] else nothing
    return Places(
        trained=union_of_tops(scores, groups["train"], percent, widths, scope),
        tested=tested,
        others=others.difference(tested),
        scores=mean_scores(scores, groups["train"]),
    )


class ImpossibleError(Exception):
    """A cell that cannot be made; the text says why."""


def _enough(number: int, there: int, where: str) -> None:
    if number > there:
        raise ImpossibleError(f"{number} neurons are needed {where}, where there are {there}")


def controlled(places: Places, share: float, ranks: np.ndarray) -> NeuronSet:
    """Random neurons of which `share` % are in the test tasks' union.

    Args:
        ranks: (n_neurons,), a random order.

    Raises:
        ImpossibleError: there are too few inside or outside.
    """
    inside = places.inside(share)
    _enough(inside, len(places.tested), "in the test tasks' union")
    _enough(places.size - inside, int((~places.tested.selected).sum()), "outside the test tasks' union")
    return with_overlap(ranks, places.tested, places.size, share)


def other_kind(places: Places, share: float, ranks: np.ndarray) -> NeuronSet:
    """Random neurons of which `share` % are in the other groups' union, and none in the test tasks'.

    Raises:
        ImpossibleError: there is no other test group, or there are too few inside or outside.
    """
    if not len(places.others):
        raise ImpossibleError("no other test group has neurons outside the test tasks' union")
    inside = places.inside(share)
    outside = int((~places.others.selected & ~places.tested.selected).sum())
    _enough(inside, len(places.others), "in the other test groups' union without the test tasks'")
    _enough(places.size - inside, outside, "outside both unions")
    # Those of the test tasks come last, behind all that can be needed.
    return with_overlap(np.where(places.tested.selected, len(ranks), ranks), places.others, places.size, share)


def score_matched(places: Places, share: float, ranks: np.ndarray) -> NeuronSet:
    """The controlled set with its neurons in the test tasks' union replaced by those outside with the nearest scores.

    From the highest score down, each takes the nearest that is left; none is taken twice.

    Raises:
        ImpossibleError: as `controlled`, or there are too few outside.
    """
    drawn = controlled(places, share, ranks)
    kept = drawn.difference(places.tested)
    free = np.flatnonzero(~places.tested.selected & ~kept.selected)
    wanted = np.flatnonzero(drawn.selected & places.tested.selected)
    _enough(len(wanted), len(free), "outside the test tasks' union and the set")
    selected = kept.selected.copy()
    selected[free[nearest(places.scores[wanted], places.scores[free])]] = True
    return NeuronSet(selected, drawn.widths)


def nearest(wanted: np.ndarray, offered: np.ndarray) -> list[int]:
    """For each wanted value, from the largest down, the position of the nearest offered one that is not taken.

    Ties go to the smaller value, and among equal ones to the first position.
    """
    order = np.argsort(offered, kind="stable")
    values, positions = offered[order].tolist(), order.tolist()
    found = []
    for value in sorted(wanted.tolist(), reverse=True):
        at = bisect.bisect_left(values, value)
        if at == len(values) or (at > 0 and value - values[at - 1] <= values[at] - value):
            at = bisect.bisect_left(values, values[at - 1])  # the first of equal values
        found.append(positions.pop(at))
        values.pop(at)
    return found


MADE = {CONTROLLED: controlled, OTHER_KIND: other_kind, SCORE_MATCHED: score_matched}


def random_order(number: int, seed: int, draw: int, pair: str) -> np.ndarray:
    """The random order of a draw of a pair of groups: a rank for every neuron."""
    return np.random.default_rng([seed, draw, *pair.encode()]).permutation(number)


def cells(places: Places, pair: str, shares: Sequence[float], draws: int, seed: int) -> list[Cell]:
    """All cells of a pair of groups at one proportion: the natural one, then those of each draw."""
    found = [Cell(NATURAL, None, 0, places.trained, "", places.columns(places.trained))]
    for draw in range(draws):
        ranks = random_order(len(places.scores), seed, draw, pair)
        for kind, make in MADE.items():
            for share in shares:
                found.append(_cell(kind, share, draw, places, ranks, make))
    return found


def _cell(kind: str, share: float, draw: int, places: Places, ranks: np.ndarray, make: Any) -> Cell:
    try:
        neurons = make(places, share, ranks)
    except ImpossibleError as problem:
        return Cell(kind, share, draw, None, str(problem), {"n_neurons": places.size})
    return Cell(kind, share, draw, neurons, "", places.columns(neurons))
