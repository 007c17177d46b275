"""The neurons whose score stands out against the other families' (ratio)."""

import numpy as np

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """Of the task's own top 3k %, the k % with the largest ratio of its normalised value to the others' largest.

    A neuron that no task values stands out for none.
    """
    values = compared.normalised
    largest = values[compared.others].max(axis=0)
    alone = np.where(values[compared.own] > 0, np.inf, 0.0)
    ratio = np.divide(values[compared.own], largest, out=alone, where=largest > 0)
    return compared.best_candidates(ratio, k)
