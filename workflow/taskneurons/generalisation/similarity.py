"""Similarity of two tasks' parameters inside one model, layer by layer (Figure 3).

N_i and N_j are the top k % of two tasks by the model's own scores. A neuron's vector in a matrix is all that is its own
there: its row of each writer (both rows where a writer holds gate and up), its column of the reader. "together" is a
neuron's vectors of all matrices, and its biases in the writers, one after the other; the biases stand in no single
matrix. The reader's bias belongs to no neuron.

Methods, each a cosine:
- mean-vector: of the mean over N_i of the neurons' vectors and the mean over N_j;
- zero-filled: of the matrices in which all entries but the set's are zero: Σ over the shared neurons of |v|², divided
  by the root of Σ over N_i times Σ over N_j. It mixes similarity with overlap;
- mean-vector-without-shared: as the first, of N_i ∖ N_j and N_j ∖ N_i.

Each is also taken of random sets of the same sizes in that layer, which says what sets have that were not chosen: a
pair of independent ones for the first two, and of two that share nothing for the third.

One row a pair of tasks, layer, matrix, method and draw: train_task (i), test_task (j), layer, matrix, method, draw (−1:
the tasks' own sets), value, n_train, n_test, n_shared (neurons of N_i, N_j and both in that layer). A layer in which a
set is empty has no similarity: the value is NaN.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from taskneurons.config.settings import DeviceSettings, StepSettings
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.errors import UserError
from taskneurons.core.progress import progress
from taskneurons.models.loaded import load_model
from taskneurons.neurons.blocks import flags_of_blocks
from taskneurons.neurons.matrices import Matrix, matrices
from taskneurons.neurons.neuron_set import NeuronSet, top_share

MEAN, FILLED, WITHOUT_SHARED = METHODS = ("mean-vector", "zero-filled", "mean-vector-without-shared")
TOGETHER, BIAS = "together", "bias"
OWN = -1  # the draw of the tasks' own sets

Pair = tuple[np.ndarray, np.ndarray]


class SimilaritySettings(StepSettings):
    """What the similarity depends on.

    Attributes:
        first, second: the tasks i and j; each of the first with each of the second, but none with itself.
        k: of the sets, in percent, in `scope`.
        draws: pairs of random sets.
    """

    first: list[str]
    second: list[str]
    k: float
    scope: str
    draws: int
    seed: int
    compute: DeviceSettings


def read_sets(paths: list[Path], k: float, scope: str) -> dict[str, NeuronSet]:
    """Task → its top k % by score."""
    sets = {}
    for path in paths:
        frame, made = read_frame(path, "scores")
        top = top_share(frame["score"].to_numpy(), k, tuple(made["widths"]), scope)
        sets[made["task"]] = NeuronSet(top.selected, top.widths, made["model"])
    return sets


def _by_neuron(values: torch.Tensor, axis: int, width: int) -> torch.Tensor:
    """A parameter as (width, entries of a neuron), in float32; it may hold the neurons several times along the axis."""
    rows = values.detach().movedim(axis, 0).float()
    return rows.reshape(-1, width, rows[0].numel()).transpose(0, 1).reshape(width, -1)


def neuron_vectors(layer: list[Matrix]) -> dict[str, torch.Tensor]:
    """Name of a matrix → its neurons' vectors (width, entries), and of BIAS the writers' biases, if there are any."""
    reader = layer[-1]
    width = reader.weight.shape[reader.neuron_axis]
    vectors = {one.name.rpartition(".")[2]: _by_neuron(one.weight, one.neuron_axis, width) for one in layer}
    biases = [_by_neuron(one.bias, 0, width) for one in layer if one.bias is not None and not one.reads]
    return {**vectors, BIAS: torch.cat(biases, dim=1)} if biases else vectors


def random_pairs(width: int, sizes: tuple[int, int], draws: int, rng: np.random.Generator, disjoint: bool) -> Pair:
    """Pairs of random sets of the given sizes: bool (draws, width) each, independent or without a common neuron."""
    first = rng.random((draws, width)).argsort(axis=1).argsort(axis=1)
    second = width - 1 - first if disjoint else rng.random((draws, width)).argsort(axis=1).argsort(axis=1)
    return first < sizes[0], second < sizes[1]


def products_of_means(vectors: torch.Tensor, pair: Pair) -> np.ndarray:
    """(3, pairs): the products a·b, a·a and b·b of the mean vectors of every pair of sets; NaN of empty sets."""
    a, b = (
        (torch.from_numpy(flags).to(vectors) @ vectors).cpu().double().numpy() / _sizes(flags)[:, None]
        for flags in pair
    )
    return np.stack([(a * b).sum(axis=1), (a * a).sum(axis=1), (b * b).sum(axis=1)])


def products_of_filled(squares: np.ndarray, pair: Pair) -> np.ndarray:
    """As `products_of_means`, of the matrices with the sets' entries alone.

    Args:
        squares: |v|² of every neuron's vector, (width,).
    """
    one, other = pair
    none = 0 * (_sizes(one) + _sizes(other))  # NaN where a set is empty
    return np.stack([flags @ squares + none for flags in (one & other, one, other)])


def _sizes(flags: np.ndarray) -> np.ndarray:
    """How many neurons each set has, (sets,); NaN for none."""
    sizes = flags.sum(axis=1).astype(float)
    return np.where(sizes > 0, sizes, np.nan)


class Layer:
    """A layer's neurons, and the similarity of sets of them.

    Attributes:
        vectors: as `neuron_vectors` gives them.
        squares: |v|² of the same vectors, (width,) each.
    """

    def __init__(self, matrices_of_layer: list[Matrix]) -> None:
        self.vectors = neuron_vectors(matrices_of_layer)
        self.squares = {name: (one.cpu().double() ** 2).sum(dim=1).numpy() for name, one in self.vectors.items()}

    def similarities(
        self, one: np.ndarray, other: np.ndarray, draws: int, rng: np.random.Generator
    ) -> dict[tuple[str, str], np.ndarray]:
        """(matrix, method) → the similarity of two sets, then of the random pairs: (1 + draws,).

        Args:
            one, other: which neurons are in each set, bool (width,).
        """

        def with_random(first: np.ndarray, second: np.ndarray, disjoint: bool) -> Pair:
            drawn = random_pairs(len(one), (int(first.sum()), int(second.sum())), draws, rng, disjoint)
            return np.vstack([first, drawn[0]]), np.vstack([second, drawn[1]])

        whole = with_random(one, other, disjoint=False)
        apart = with_random(one & ~other, other & ~one, disjoint=True)
        products = {
            MEAN: {name: products_of_means(values, whole) for name, values in self.vectors.items()},
            FILLED: {name: products_of_filled(values, whole) for name, values in self.squares.items()},
            WITHOUT_SHARED: {name: products_of_means(values, apart) for name, values in self.vectors.items()},
        }
        found: dict[tuple[str, str], np.ndarray] = {}
        for method, of_matrices in products.items():
            of_matrices[TOGETHER] = np.sum(list(of_matrices.values()), axis=0)
            found |= {(name, method): _cosine(*values) for name, values in of_matrices.items() if name != BIAS}
        return found


def _cosine(dots: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):  # vectors of zeros have no direction
        return dots / np.sqrt(ones * others)


def similarity_frame(
    layers: list[list[Matrix]], sets: dict[str, NeuronSet], pairs: list[tuple[str, str]], draws: int, seed: int
) -> pd.DataFrame:
    """The similarities of some pairs of tasks, with the columns that the module's text names.

    Args:
        layers: the model's matrices, layer by layer.
    """
    by_layer = {task: neurons.by_layer() for task, neurons in sets.items()}
    cells: list[dict[str, Any]] = []
    values: list[np.ndarray] = []
    for number, of_layer in enumerate(progress(layers, "similarity", len(layers))):
        layer = Layer(of_layer)
        for train, test in pairs:
            one, other = by_layer[train][number], by_layer[test][number]
            rng = np.random.default_rng([seed, number, *f"{train} {test}".encode()])
            sizes = {"n_train": one.sum(), "n_test": other.sum(), "n_shared": (one & other).sum()}
            for (matrix, method), found in layer.similarities(one, other, draws, rng).items():
                named = {"train_task": train, "test_task": test, "layer": number, "matrix": matrix, "method": method}
                cells.append({**named, **sizes})
                values.append(found)
    frame = pd.DataFrame(cells)
    frame = frame.loc[frame.index.repeat(1 + draws)].reset_index(drop=True)
    frame.insert(5, "draw", np.tile(np.arange(OWN, draws), len(cells)))
    frame.insert(6, "value", np.concatenate(values))
    return frame


def main(settings: SimilaritySettings, *, model: Path, scores: list[Path], similarity: Path) -> None:
    """Write the similarities inside a model.

    Args:
        scores: the model's, of every task of `first` and `second`.

    Raises:
        UserError: the model is a mixture of experts, or a task has no scores, or scores of another model.
    """
    loaded = load_model(model, settings.compute)
    sets = read_sets(scores, settings.k, settings.scope)
    pairs = [(one, other) for one in settings.first for other in settings.second if one != other]
    if missing := sorted({task for pair in pairs for task in pair} - set(sets)):
        raise UserError(f"no file of scores is of the task {missing[0]!r}")
    layers = matrices(loaded.model)
    for neurons in sets.values():
        flags_of_blocks(loaded.model, neurons)  # refuses those of another model
    frame = similarity_frame(layers, sets, pairs, settings.draws, settings.seed)
    made = {key: loaded.provenance.get(key) for key in ("state", "seed")}
    provenance = {"spec": settings.spec(), "k": settings.k, "model": loaded.identity, **made}
    write_frame(similarity, frame, "similarity", provenance)
