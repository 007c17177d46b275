"""Forward-only neurons less a control task's."""

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "weight-activation"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % less the control task's top k %: Math Neurosurgery (Christ et al. 2024). Fewer than k %.

    Meant for the forward-only product of weights and activations.
    """
    return compared.top(compared.values[compared.own], k).difference(compared.top(compared.values[compared.control], k))
