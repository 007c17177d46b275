"""The paper's rule: the top k % of all layers together."""

from taskneurons.neurons.neuron_set import NeuronSet, top_share
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = False  # it looks at the task's own values alone


def select(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % of all layers together, as in the paper."""
    return top_share(compared.values[compared.own], k, compared.widths, "global")
