"""Rules that select a task's neurons by comparing several tasks' values, besides the paper's plain top k %.

All take the values of every task, (n_tasks, n_neurons), from stored files alone. The *others* are the tasks outside
the own family, because related tasks are meant to share neurons; where there are none, all other tasks. Values are
*normalised*: divided by their task's sum, so that a task with larger losses does not look more specific.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from taskneurons.neuron_set import NeuronSet, shared_core, top_share, union_of

# Rules that rank by a ratio choose among the task's own top CANDIDATES · k %: ratios of tiny values are noise.
CANDIDATES = 3


@dataclass(frozen=True)
class Comparison:
    """What a rule compares.

    Attributes:
        values: (n_tasks, n_neurons) ≥ 0, all layers one after the other.
        own: the row of the task whose neurons are selected.
        families: of each task.
        widths: neurons of each layer.
        scope: "global" or "per-layer".
        core_share: in how many percent of the tasks' top k a neuron is common.
    """

    values: np.ndarray
    own: int
    families: list[str]
    widths: tuple[int, ...]
    scope: str
    core_share: float

    @property
    def normalised(self) -> np.ndarray:
        return self.values / self.values.sum(axis=1, keepdims=True)

    @property
    def others(self) -> list[int]:
        """The rows of the tasks outside the own family; of all other tasks where there are none."""
        rows = [row for row, family in enumerate(self.families) if family != self.families[self.own]]
        return rows or [row for row in range(len(self.families)) if row != self.own]

    @property
    def control(self) -> int:
        """The row of the control task: the first of the others."""
        return self.others[0]

    def top(self, values: np.ndarray, k: float) -> NeuronSet:
        """The top k % by some values, (n_neurons,)."""
        return top_share(values, k, self.widths, self.scope)

    def tops(self, k: float) -> list[NeuronSet]:
        """The top k % of every task."""
        return [self.top(row, k) for row in self.values]

    def best_candidates(self, values: np.ndarray, k: float) -> NeuronSet:
        """The top k % by some values among the task's own top CANDIDATES · k %."""
        candidates = self.top(self.values[self.own], min(100, CANDIDATES * k))
        found = self.top(np.where(candidates.selected, values, -np.inf), k)
        return found.intersection(candidates)


def exclusive(compared: Comparison, k: float) -> NeuronSet:
    """In this task's top k % and in no other task's (family included): fewer than k %."""
    tops = compared.tops(k)
    return tops[compared.own].difference(union_of([top for row, top in enumerate(tops) if row != compared.own]))


def contrastive(compared: Comparison, k: float) -> NeuronSet:
    """Of the task's own top 3k %, the k % with the largest ratio of its normalised value to the others' largest."""
    values = compared.normalised
    largest = values[compared.others].max(axis=0)
    ratio = np.divide(values[compared.own], largest, out=np.full(len(largest), np.inf), where=largest > 0)
    return compared.best_candidates(ratio, k)


def contrastive_difference(compared: Comparison, k: float) -> NeuronSet:
    """The k % with the largest difference of the task's normalised value and the largest of the others."""
    values = compared.normalised
    return compared.top(values[compared.own] - values[compared.others].max(axis=0), k)


def set_difference(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % less the top k % of the others' mean normalised value: set difference, Wei et al. (2024).

    There the second set is of general utility data, which the other tasks stand for here. Fewer than k %.
    """
    values = compared.normalised
    return compared.top(values[compared.own], k).difference(compared.top(values[compared.others].mean(axis=0), k))


def inverse_cluster(compared: Comparison, k: float) -> NeuronSet:
    """The k % with the largest value times inverse cluster attribution, no common neurons: QRNCA (Chen et al. 2025).

    The inverse cluster attribution of a neuron is log(n_tasks / (1 + number of tasks with it in their top k %)); common
    are those in at least `core_share` % of all tasks' top k %.
    """
    tops = compared.tops(k)
    clusters = np.sum([top.selected for top in tops], axis=0)
    values = compared.normalised[compared.own] * np.log(len(tops) / (1 + clusters))
    common = shared_core(tops, compared.core_share)
    return compared.top(np.where(common.selected, -np.inf, values), k).difference(common)


def activation_entropy(compared: Comparison, k: float) -> NeuronSet:
    """Of the task's own top 3k %, the k % whose values are spread over the fewest tasks and most on this one.

    The entropy of a neuron's values over the tasks orders them, as for language-specific neurons (Tang et al. 2024);
    a neuron counts for this task if its share there is above the average. Meant for activation frequencies.
    """
    totals = compared.values.sum(axis=0)
    shares = np.divide(
        compared.values, totals, out=np.full_like(compared.values, 1 / len(compared.values)), where=totals > 0
    )
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=0)
    above = shares[compared.own] > 1 / len(shares)
    return compared.best_candidates(np.where(above, -entropy, -np.inf), k).intersection(
        NeuronSet(above, compared.widths)
    )


def without_control(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % less the control task's top k %: Math Neurosurgery (Christ et al. 2024). Fewer than k %.

    Meant for the forward-only product of weights and activations.
    """
    return compared.top(compared.values[compared.own], k).difference(compared.top(compared.values[compared.control], k))


def global_top(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % of all layers together, as in the paper."""
    return top_share(compared.values[compared.own], k, compared.widths, "global")


def per_layer_top(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % of each layer."""
    return top_share(compared.values[compared.own], k, compared.widths, "per-layer")


def core(compared: Comparison, k: float) -> NeuronSet:
    """The shared core: in at least `core_share` % of all tasks' top k %. It is the same for every task."""
    return shared_core(compared.tops(k), compared.core_share)


# Name → (rule, the values that it compares: the attribution scores, or a forward-only criterion).
RULES: dict[str, tuple[Callable[[Comparison, float], NeuronSet], str]] = {
    "global": (global_top, "score"),
    "per-layer": (per_layer_top, "score"),
    "exclusive": (exclusive, "score"),
    "contrastive": (contrastive, "score"),
    "contrastive-difference": (contrastive_difference, "score"),
    "set-difference": (set_difference, "score"),
    "inverse-cluster": (inverse_cluster, "score"),
    "activation-entropy": (activation_entropy, "activation-frequency"),
    "weight-activation": (without_control, "weight-activation"),
    "shared-core": (core, "score"),
}
