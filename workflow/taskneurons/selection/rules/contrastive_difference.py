"""The neurons whose score stands out against the other families' (difference)."""

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """The k % with the largest difference of the task's normalised value and the largest of the others."""
    values = compared.normalised
    return compared.top(values[compared.own] - values[compared.others].max(axis=0), k)
