"""A set of neurons: which, out of how many, and the operations that the paper needs of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class NeuronSet:
    """A set of (layer, neuron) pairs of a model whose layers have the given widths.

    Attributes:
        selected: bool (n_neurons,), all layers one after the other from the bottom up.
        widths: neurons of each layer, of all its experts together; they add up to n_neurons.
        model: the identity of the model on which they were selected, which alone takes them (and models that were
            trained from it); None where any model of these widths does.
    """

    selected: np.ndarray
    widths: tuple[int, ...]
    model: str | None = None

    def __post_init__(self) -> None:
        if self.selected.shape != (sum(self.widths),):
            raise ValueError(f"{self.selected.shape} selected flags for layers of {sum(self.widths)} neurons")

    def __len__(self) -> int:
        return int(self.selected.sum())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, NeuronSet)
            and self.widths == other.widths
            and bool(np.array_equal(self.selected, other.selected))
        )

    def _common_model(self, other: "NeuronSet") -> str | None:
        """The model on which both were selected; None if one fits any. Raises ValueError for different models."""
        if self.widths != other.widths:
            raise ValueError(f"neuron sets of different models: layers of {self.widths} and {other.widths} neurons")
        if None not in (self.model, other.model) and self.model != other.model:
            raise ValueError(f"neuron sets of different models: {self.model} and {other.model}")
        return self.model or other.model

    def union(self, other: "NeuronSet") -> "NeuronSet":
        model = self._common_model(other)
        return NeuronSet(self.selected | other.selected, self.widths, model)

    def intersection(self, other: "NeuronSet") -> "NeuronSet":
        model = self._common_model(other)
        return NeuronSet(self.selected & other.selected, self.widths, model)

    def difference(self, other: "NeuronSet") -> "NeuronSet":
        """The neurons that are not in the other set."""
        model = self._common_model(other)
        return NeuronSet(self.selected & ~other.selected, self.widths, model)

    def jaccard(self, other: "NeuronSet") -> float:
        """|A ∩ B| / |A ∪ B|, 0 to 1; 1 for two empty sets. The sets may be of two models of one shape."""
        one, two = NeuronSet(self.selected, self.widths), NeuronSet(other.selected, other.widths)
        joined = len(one.union(two))
        return len(one.intersection(two)) / joined if joined else 1.0

    def by_layer(self) -> list[np.ndarray]:
        """The flags of each layer, bool (width,)."""
        return np.split(self.selected, np.cumsum(self.widths)[:-1])

    def counts(self) -> list[int]:
        """How many neurons of each layer are in the set."""
        return [int(flags.sum()) for flags in self.by_layer()]


def union_of(sets: Sequence[NeuronSet]) -> NeuronSet:
    """The union of one or more sets."""
    first, *others = sets
    for other in others:
        first = first.union(other)
    return first


def intersection_of(sets: Sequence[NeuronSet]) -> NeuronSet:
    """The intersection of one or more sets."""
    first, *others = sets
    for other in others:
        first = first.intersection(other)
    return first


def shared_core(sets: Sequence[NeuronSet], share: float) -> NeuronSet:
    """The neurons that are in at least `share` % of the sets."""
    members = np.sum([neurons.selected for neurons in sets], axis=0)
    # Compared as whole numbers: a share of 100 % of 12 sets must not turn on how 12 · 100 / 100 rounds.
    return NeuronSet(members * 100 >= share * len(sets) - 1e-9, sets[0].widths)


def with_overlap(ranks: np.ndarray, other: NeuronSet, size: int, share: float) -> NeuronSet:
    """The best `size` neurons by rank of which `share` % (to the nearest) are in `other` and the rest are not.

    For experiments on how much two tasks' neurons may overlap.

    Args:
        ranks: (n_neurons,), 0 the best.

    Raises:
        ValueError: there are too few neurons inside or outside `other`.
    """
    inside = int(np.floor(size * share / 100 + 0.5))
    selected = np.zeros(len(ranks), dtype=bool)
    for flags, number in ((other.selected, inside), (~other.selected, size - inside)):
        there = np.flatnonzero(flags)
        if number > len(there):
            raise ValueError(f"{number} neurons are asked for where there are {len(there)}")
        selected[there[np.argsort(ranks[there], kind="stable")[:number]]] = True
    return NeuronSet(selected, other.widths)


def chance_jaccard(first: int, second: int, total: int) -> float:
    """The Jaccard index that two independent random sets of these sizes have on average: ab/(a + b − ab).

    a and b are the sizes as shares of `total`; 1 for two empty sets.
    """
    a, b = first / total, second / total
    return a * b / (a + b - a * b) if first or second else 1.0


def ranking(scores: np.ndarray, widths: tuple[int, ...], scope: str = "global") -> np.ndarray:
    """The rank of every neuron, 0 the best, over all layers (`global`) or within its own (`per-layer`).

    Ties go to the lower layer and index.

    Args:
        scores: (n_neurons,), all layers one after the other.
    """
    parts = [scores] if scope == "global" else np.split(scores, np.cumsum(widths)[:-1])
    ranks = []
    for part in parts:
        rank = np.empty(len(part), dtype=np.int64)
        rank[np.argsort(-part, kind="stable")] = np.arange(len(part))
        ranks.append(rank)
    return np.concatenate(ranks)


def best(ranks: np.ndarray, percent: float, widths: tuple[int, ...], scope: str = "global") -> NeuronSet:
    """The best `percent` % of the neurons by rank; the number is rounded to the nearest, but is at least 1."""
    sizes = np.full(len(ranks), len(ranks)) if scope == "global" else np.repeat(widths, widths)
    numbers = np.maximum(1, np.floor(sizes * percent / 100 + 0.5))
    return NeuronSet(ranks < numbers, tuple(widths))


def top_share(scores: np.ndarray, percent: float, widths: tuple[int, ...], scope: str = "global") -> NeuronSet:
    """The top `percent` % of the neurons by score: `best` of their `ranking`."""
    return best(ranking(scores, widths, scope), percent, widths, scope)


def random_set(size: int, widths: Sequence[int], seed: int | list[int]) -> NeuronSet:
    """`size` neurons drawn without replacement from all layers; `seed` is whatever numpy takes as one."""
    selected = np.zeros(sum(widths), dtype=bool)
    selected[np.random.default_rng(seed).choice(len(selected), size=size, replace=False)] = True
    return NeuronSet(selected, tuple(widths))


def random_in_layers(counts: Sequence[int], widths: Sequence[int], seed: int | list[int]) -> NeuronSet:
    """`counts[l]` neurons drawn without replacement from each layer l."""
    rng = np.random.default_rng(seed)
    layers = []
    for count, width in zip(counts, widths, strict=True):
        flags = np.zeros(width, dtype=bool)
        flags[rng.choice(width, size=count, replace=False)] = True
        layers.append(flags)
    return NeuronSet(np.concatenate(layers), tuple(widths))
