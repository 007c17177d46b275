"""The neurons whose score stands out against the other families' (ratio)."""

import numpy as np

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """Of the task's own top 3k %, the k % with the largest ratio of its normalised value to the others' largest."""
    values = compared.normalised
    largest = values[compared.others].max(axis=0)
    ratio = np.divide(values[compared.own], largest, out=np.full(len(largest), np.inf), where=largest > 0)
    return compared.best_candidates(ratio, k)
