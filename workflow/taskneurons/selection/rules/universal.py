"""The universal neurons, or hubs: those that at least half of all tasks have."""

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """In at least half of all tasks' top k %. They are the same for every task."""
    return compared.universal(k)
