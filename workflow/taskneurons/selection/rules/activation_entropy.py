"""Neurons that are active for few tasks."""

import numpy as np

from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.comparison import Comparison

VALUES = "activation-frequency"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """Of the task's own top 3k %, the k % whose values are spread over the fewest tasks and most on this one.

    The entropy of a neuron's values over the tasks orders them, as for language-specific neurons (Tang et al. 2024);
    a neuron counts for this task if its share there is above the average. Meant for activation frequencies.
    """
    totals = compared.values.sum(axis=0)
    shares = np.divide(
        compared.values, totals, out=np.full_like(compared.values, 1 / len(compared.values)), where=totals > 0
    )
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=0)
    above = shares[compared.own] > 1 / len(shares)
    return compared.best_candidates(np.where(above, -entropy, -np.inf), k).intersection(
        NeuronSet(above, compared.widths)
    )
