"""The neurons that all tasks have."""

from taskneurons.neurons.neuron_set import NeuronSet, shared_core
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """The shared core: in at least `core_share` % of all tasks' top k %. It is the same for every task."""
    return shared_core(compared.tops(k), compared.core_share)
