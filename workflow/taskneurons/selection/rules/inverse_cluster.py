"""Scores weighted by how few tasks share a neuron."""

import numpy as np

from taskneurons.neurons.neuron_set import NeuronSet, shared_core
from taskneurons.selection.comparison import Comparison

VALUES = "attribution"
COMPARES = True  # it looks at the values of all tasks


def select(compared: Comparison, k: float) -> NeuronSet:
    """The k % with the largest value times inverse cluster attribution, no common neurons: QRNCA (Chen et al. 2025).

    The inverse cluster attribution of a neuron is log(n_tasks / (1 + number of tasks with it in their top k %)); common
    are those in at least `core_share` % of all tasks' top k %.
    """
    tops = compared.tops(k)
    clusters = np.sum([top.selected for top in tops], axis=0)
    values = compared.normalised[compared.own] * np.log(len(tops) / (1 + clusters))
    common = shared_core(tops, compared.core_share)
    return compared.top(np.where(common.selected, -np.inf, values), k).difference(common)
