"""Sets of growing size: a task's own by rule, and random ones, of which each smaller set is part of the larger ones."""

from collections.abc import Sequence

import numpy as np

from taskneurons.config.settings import Ablation
from taskneurons.neurons.neuron_set import NeuronSet, ranking
from taskneurons.selection.task_sets import TaskSets

# Rules of random sets: as many neurons as the task's own set of that size, over all layers or in each layer.
RANDOM = {"random": "global", "random-in-layers": "per-layer"}


def random_like(own: NeuronSet, values: np.ndarray, scope: str) -> NeuronSet:
    """As many neurons as `own` has, those with the largest values: so that random sets of growing size nest.

    Args:
        values: random ones, (n_neurons,).
        scope: as many in all layers together ("global") or in each layer ("per-layer").
    """
    numbers = len(own) if scope == "global" else np.repeat(own.counts(), own.widths)
    return NeuronSet(ranking(values, own.widths, scope) < numbers, own.widths, own.model)


def growing_sets(
    sets: TaskSets, reference: Ablation, shares: Sequence[float], draws: int, seed: int
) -> list[tuple[str, float, int, NeuronSet]]:
    """Rule, share (percent), draw and neurons of every set; `random_like` sets are like those of the first rule.

    Args:
        reference: of the scores that choose the sets.
        draws: random sets of each size; they are the task's own, but the same for both references.
    """
    settings = sets.settings
    found = [(rule, share, 0, sets.at(rule, reference, share)) for rule in settings.rules for share in sorted(shares)]
    own = [one for one in found if one[0] == settings.rules[0]]
    for draw in range(draws):
        values = np.random.default_rng([seed, draw, *settings.task.encode()]).random(len(own[0][3].selected))
        for rule, scope in RANDOM.items():
            found += [(rule, share, draw, random_like(neurons, values, scope)) for _, share, _, neurons in own]
    return found
