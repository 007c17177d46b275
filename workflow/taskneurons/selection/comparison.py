"""What a selection rule looks at: the values of one or of all tasks, and the notions that the rules share.

Values are read from stored files alone. The *others* are the tasks outside the own family, because related tasks are
meant to share neurons; where there are none, all other tasks. Values are *normalised*: divided by their task's sum, so
that a task with larger losses does not look more specific.
"""

from dataclasses import dataclass

import numpy as np

from taskneurons.neurons.neuron_set import NeuronSet, top_share

# Rules that rank by a ratio choose among the task's own top CANDIDATES · k %: ratios of tiny values are noise.
CANDIDATES = 3


def universal_of(sets: list[NeuronSet]) -> NeuronSet:
    """The universal neurons, or hubs: in at least half of all tasks' sets, and in two or more."""
    members = np.sum([neurons.selected for neurons in sets], axis=0)
    return NeuronSet((members >= 2) & (2 * members >= len(sets)), sets[0].widths)


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

    def universal(self, k: float) -> NeuronSet:
        """The universal neurons: in at least half of all tasks' top k %."""
        return universal_of(self.tops(k))

    def best_candidates(self, values: np.ndarray, k: float) -> NeuronSet:
        """The top k % by some values among the task's own top CANDIDATES · k %."""
        candidates = self.top(self.values[self.own], min(100, CANDIDATES * k))
        found = self.top(np.where(candidates.selected, values, -np.inf), k)
        return found.intersection(candidates)
