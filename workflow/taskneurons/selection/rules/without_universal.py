"""A task's neurons that are no common property: its own without those that at least half of all tasks have."""

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % less the neurons in at least half of all tasks' top k %: fewer than k %."""
    return compared.top(compared.values[compared.own], k).difference(compared.universal(k))
