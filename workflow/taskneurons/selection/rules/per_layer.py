"""The top k % of each layer."""

from taskneurons.neurons.neuron_set import NeuronSet, top_share
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = False  # it looks at the task's own values alone


def select(compared: Comparison, k: float) -> NeuronSet:
    """The task's top k % of each layer."""
    return top_share(compared.values[compared.own], k, compared.widths, "per-layer")
