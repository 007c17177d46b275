"""Table 8: the overlap rate of the training tasks' neurons with the test tasks' neurons, at growing proportions.

The rate is the Jaccard index of the union of the training tasks' top p % and the union of the test tasks' top p %.
Chance is that of two independent random sets as large as the actual unions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.neurons.neuron_set import NeuronSet, best, chance_jaccard, ranking, union_of
from taskneurons.tables.common import TableSettings
from taskneurons.tables.replicates import interval_around, read_with_replicates


@dataclass
class Model:
    """One model's rankings of its neurons on every task.

    Attributes:
        ranks: task → rankings (1 + replicates, n_neurons); the first is by the scores, the others by their replicates.
        widths: neurons of each layer.
    """

    ranks: dict[str, np.ndarray]
    widths: tuple[int, ...]

    def unions(self, group: dict[str, list[str]], percent: float, scope: str, which: int) -> list[NeuronSet]:
        """The unions of the group's training and of its test tasks' top neurons, by one of the rankings."""
        return [
            union_of([best(self.ranks[task][which], percent, self.widths, scope) for task in group[side]])
            for side in ("train", "test")
        ]


def read_models(score_paths: list[Path], replicate_paths: list[Path], scope: str) -> list[Model]:
    """The models, told apart by their identity, in the order of the score files."""
    models: dict[str, Model] = {}
    for path, replicate_path in zip(score_paths, replicate_paths, strict=True):
        scores, provenance = read_with_replicates(path, replicate_path)
        widths = tuple(provenance["widths"])
        model = models.setdefault(provenance["model"], Model({}, widths))
        model.ranks[provenance["task"]] = np.stack([ranking(one, widths, scope).astype("int32") for one in scores])
    return list(models.values())


def overlap(models: list[Model], group: dict[str, list[str]], percent: float, scope: str) -> dict[str, Any]:
    """value, chance and replicates of one cell, in percent, averaged over the models."""
    values, chances = [], []
    for model in models:
        count = len(next(iter(model.ranks.values())))
        pairs = [model.unions(group, percent, scope, which) for which in range(count)]
        values.append([100 * train.jaccard(test) for train, test in pairs])
        train, test = pairs[0]
        chances.append(100 * chance_jaccard(len(train), len(test), sum(model.widths)))
    value, *replicates = np.mean(values, axis=0)
    return {"value": float(value), "chance": float(np.mean(chances)), "replicates": np.array(replicates)}


def pairs_of(groups: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """Name of a pair of groups → its training and its test tasks."""
    return {
        f"{train}-{test}": {"train": trained, "test": tested}
        for train, trained in groups["train"].items()
        for test, tested in groups["test"].items()
    }


def rows(
    settings: TableSettings, *, scores: list[Path], score_replicates: list[Path], published: Path
) -> list[dict[str, Any]]:
    """One row a group and proportion."""
    figures = pd.read_csv(published).set_index(["group", "proportion_pct"])["value"]
    models = read_models(scores, score_replicates, settings["selection.scope"])
    result = []
    for name, group in pairs_of(settings["groups"]).items():
        for percent in settings["overlap.proportions"]:
            cell = overlap(models, group, percent, settings["selection.scope"])
            low, high = interval_around(cell["value"], cell["replicates"], settings["tables.confidence"])
            result.append(
                {
                    "group": name,
                    "proportion_pct": percent,
                    "value": cell["value"],
                    "chance": cell["chance"],
                    "ci_low": low,
                    "ci_high": high,
                    "n_seeds": 0 if settings["attribution.model"] == "base" else len(models),
                    "n_draws": 0,
                    "paper_llama": figures.get((name, percent)),
                }
            )
    return result
