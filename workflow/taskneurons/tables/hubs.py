"""Where families live: each layer's share of the families' top k %, and of the hubs, beside chance.

Hubs are the universal neurons: in at least half of all tasks' top k %. The scores are those of the first model that
chooses the neurons which are switched off.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.core.artifacts import read_provenance
from taskneurons.core.errors import UserError
from taskneurons.neurons.neuron_set import NeuronSet, top_share
from taskneurons.selection.comparison import universal_of
from taskneurons.tables.common import TableSettings
from taskneurons.tables.replicates import interval_around, read_with_replicates

HUBS = "hubs"


@dataclass(frozen=True)
class Tops:
    """The top k % of all tasks, by the scores (first) and by their replicates.

    Attributes:
        flags: task → (1 + replicates, n_neurons), whether a neuron is in the task's top k %.
        widths: neurons of each layer.
    """

    flags: dict[str, np.ndarray]
    widths: tuple[int, ...]

    def shares(self, task: str) -> np.ndarray:
        """(1 + replicates, n_layers), the share of each layer's neurons that are in a task's top k %."""
        return by_layer(self.flags[task], self.widths)

    def hub_shares(self) -> np.ndarray:
        """(1 + replicates, n_layers), the share of each layer's neurons that are hubs."""
        hubs = [
            universal_of([NeuronSet(one, self.widths) for one in of_tasks]).selected
            for of_tasks in zip(*self.flags.values(), strict=True)
        ]
        return by_layer(np.stack(hubs), self.widths)

    def hub_chance(self) -> np.ndarray:
        """(n_layers,), the share of hubs if tasks chose independently, each as many in a layer as it does."""
        n_tasks = len(self.flags)
        # Of these neurons number m is in m tasks' sets.
        in_as_many = [NeuronSet(np.arange(n_tasks + 1) > task, (n_tasks + 1,)) for task in range(n_tasks)]
        enough = universal_of(in_as_many).selected
        shares = np.stack([self.shares(task)[0] for task in self.flags])
        return np.array([number_of_successes(layer)[enough].sum() for layer in shares.T])


def by_layer(flags: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """The share of each layer's neurons that are flagged: (…, n_neurons) → (…, n_layers)."""
    starts = np.concatenate([[0], np.cumsum(widths)[:-1]])
    return np.add.reduceat(flags.astype(np.int64), starts, axis=-1) / np.array(widths)


def number_of_successes(chances: np.ndarray) -> np.ndarray:
    """The distribution of the number of successes of independent trials with these chances, (n + 1,)."""
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, [1 - chance, chance])
    return distribution


def read_tops(scores: list[Path], score_replicates: list[Path], k: float, scope: str, tasks: list[str]) -> Tops:
    """The top k % of the first model's tasks.

    Raises:
        UserError: a task has no scores, or scores and replicates are not of the same model and task.
    """
    flags: dict[str, np.ndarray] = {}
    widths: tuple[int, ...] = ()
    first_model = read_provenance(scores[0], "scores")["model"]
    for path, replicate_path in zip(scores, score_replicates, strict=True):
        if read_provenance(path, "scores")["model"] != first_model:
            continue
        values, provenance = read_with_replicates(path, replicate_path)
        widths = tuple(provenance["widths"])
        flags[provenance["task"]] = np.stack([top_share(one, k, widths, scope).selected for one in values])
    if missing := [task for task in tasks if task not in flags]:
        raise UserError(f"no file of scores is of the task {missing[0]!r}")
    return Tops({task: flags[task] for task in tasks}, widths)


def rows(settings: TableSettings, *, scores: list[Path], score_replicates: list[Path]) -> list[dict[str, Any]]:
    """One row a group (a family, or the hubs) and layer, shares in percent of the layer's neurons."""
    k = float(settings["selection.k"])
    tops = read_tops(scores, score_replicates, k, settings["selection.scope"], list(settings.tasks))
    families = dict.fromkeys(shown["family"] for shown in settings.tasks.values())
    of_family = {
        family: [tops.shares(task) for task, shown in settings.tasks.items() if shown["family"] == family]
        for family in families
    }
    groups = {family: (np.mean(found, axis=0), len(found)) for family, found in of_family.items()}
    groups[HUBS] = tops.hub_shares(), len(tops.flags)
    result = []
    for group, (shares, n_tasks) in groups.items():
        # A task's top k % of a layer holds k % of it where the layer is like the others.
        chance = tops.hub_chance() if group == HUBS else np.full(len(tops.widths), k / 100)
        for layer, width in enumerate(tops.widths):
            value, *replicates = 100 * shares[:, layer]
            low, high = interval_around(value, np.array(replicates), settings["tables.confidence"])
            result.append(
                {
                    "group": group,
                    "layer": layer,
                    "value": value,
                    "ci_low": low,
                    "ci_high": high,
                    "chance": 100 * chance[layer],
                    "n_neurons": shares[0, layer] * width,
                    "layer_neurons": width,
                    "n_tasks": n_tasks,
                }
            )
    return result
