"""A task's neurons less those of the other families together."""

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % less the top k % of the others' mean normalised value: set difference, Wei et al. (2024).

    There the second set is of general utility data, which the other tasks stand for here. Fewer than k %.
    """
    values = compared.normalised
    return compared.top(values[compared.own], k).difference(compared.top(values[compared.others].mean(axis=0), k))
