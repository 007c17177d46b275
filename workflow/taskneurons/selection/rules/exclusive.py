"""A task's neurons that no other task has."""

from taskneurons.neurons.neuron_set import NeuronSet, union_of
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """In this task's top k % and in no other task's (family included): fewer than k %."""
    tops = compared.tops(k)
    return tops[compared.own].difference(union_of([top for row, top in enumerate(tops) if row != compared.own]))
