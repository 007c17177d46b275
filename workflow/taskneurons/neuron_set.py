"""A set of neurons: which, out of how many, and the operations that the paper needs of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.artifacts import read_frame, write_frame


@dataclass(frozen=True, eq=False)
class NeuronSet:
    """A set of (layer, neuron) pairs of a model whose layers have the given widths.

    Attributes:
        selected: bool (n_neurons,), all layers one after the other from the bottom up.
        widths: neurons of each layer; they add up to n_neurons.
    """

    selected: np.ndarray
    widths: tuple[int, ...]

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

    def _same_model(self, other: "NeuronSet") -> None:
        if self.widths != other.widths:
            raise ValueError(f"neuron sets of different models: layers of {self.widths} and {other.widths} neurons")

    def union(self, other: "NeuronSet") -> "NeuronSet":
        self._same_model(other)
        return NeuronSet(self.selected | other.selected, self.widths)

    def intersection(self, other: "NeuronSet") -> "NeuronSet":
        self._same_model(other)
        return NeuronSet(self.selected & other.selected, self.widths)

    def jaccard(self, other: "NeuronSet") -> float:
        """|A ∩ B| / |A ∪ B|, 0 to 1; 1 for two empty sets."""
        joined = len(self.union(other))
        return len(self.intersection(other)) / joined if joined else 1.0

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


def random_set(size: int, widths: tuple[int, ...], seed: int | list[int]) -> NeuronSet:
    """`size` neurons drawn without replacement from all layers; `seed` is whatever numpy takes as one."""
    total = sum(widths)
    chosen = np.random.default_rng(seed).choice(total, size=size, replace=False)
    selected = np.zeros(total, dtype=bool)
    selected[chosen] = True
    return NeuronSet(selected, tuple(widths))


def neuron_index(widths: Sequence[int]) -> pd.DataFrame:
    """The columns layer and neuron of every neuron, in the order of the flags."""
    layers = np.repeat(np.arange(len(widths)), widths)
    neurons = np.concatenate([np.arange(width) for width in widths])
    return pd.DataFrame({"layer": layers.astype("int32"), "neuron": neurons.astype("int32")})


def write_mask(path: str | Path, neurons: NeuronSet, scores: np.ndarray | None, metadata: dict[str, Any]) -> None:
    """Write a mask: one row a selected neuron with layer, neuron, score and rank (1 = largest; null if random)."""
    frame = neuron_index(neurons.widths)[neurons.selected].reset_index(drop=True)
    if scores is None:
        frame["score"] = pd.Series([None] * len(frame), dtype="Float64")
        frame["rank"] = pd.Series([None] * len(frame), dtype="Int64")
    else:
        frame["score"] = scores[neurons.selected]
        frame["rank"] = frame["score"].rank(ascending=False, method="first").astype("Int64")
        frame = frame.sort_values("rank").reset_index(drop=True)
    write_frame(path, frame, "mask", {**metadata, "widths": list(neurons.widths)})


def read_mask(path: str | Path) -> tuple[NeuronSet, dict[str, Any]]:
    """The neuron set of a mask file and the file's metadata; raises UserError as `read_frame` does."""
    frame, metadata = read_frame(path, "mask")
    widths = tuple(metadata["widths"])
    starts = np.cumsum(widths) - widths
    selected = np.zeros(sum(widths), dtype=bool)
    selected[starts[frame["layer"].to_numpy()] + frame["neuron"].to_numpy()] = True
    return NeuronSet(selected, widths), metadata
