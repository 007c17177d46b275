"""Figure 3: the similarity of two tasks' parameters inside models trained on one of them, layer by layer.

Means over the models M_i and over the test tasks j of a group, with the same mean of random sets beside them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings
from taskneurons.tables.missing import interval_of, mean_of

TOGETHER = "together"  # all matrices of a layer
ALL = "all"  # models
MEAN_VECTOR = "mean-vector"  # the method of the paper, as we read it
MEAN = "mean"  # over a group's test tasks
CELL = ["test_task", "layer", "matrix", "method"]


@dataclass(frozen=True)
class Similarities:
    """The similarities inside all models.

    Attributes:
        models: the task that each model was trained on.
        cells: the columns of CELL, one row a cell.
        values: (models, cells, 1 + draws), that of the tasks' own sets before those of random ones; NaN where a set is
            empty.
    """

    models: list[str]
    cells: pd.DataFrame
    values: np.ndarray

    def of(self, models: list[str], test_tasks: list[str], **chosen: Any) -> np.ndarray:
        """The values of some models and test tasks in the layers, of one matrix and method as `chosen` says.

        Returns:
            (models, test tasks, layers, 1 + draws).
        """
        cells = self.cells[(self.cells[list(chosen)] == list(chosen.values())).all(axis=1)]
        places = np.concatenate([cells.index[cells["test_task"] == task] for task in test_tasks])  # each by layer
        chosen_models = np.array([self.models.index(model) for model in models])
        found = self.values[chosen_models][:, places]
        return found.reshape(len(models), len(test_tasks), -1, found.shape[2])


def read_similarities(paths: list[Path]) -> Similarities:
    """The similarities of one file a model, which all have the same cells."""
    tables = {}
    for path in paths:
        frame, _ = read_frame(path, "similarity")
        tables[frame["train_task"].iloc[0]] = frame.pivot(index=CELL, columns="draw", values="value")
    cells = next(iter(tables.values())).index.to_frame(index=False)
    return Similarities(list(tables), cells, np.stack([table.to_numpy() for table in tables.values()]))


def panels(groups: dict[str, dict[str, list[str]]], models: list[str]) -> list[tuple[str, str, list[str]]]:
    """The test group, the models' name and the models of each panel: all models, then those of the group's name."""
    own = {test: groups["train"][test] for test in groups["test"] if test in groups["train"]}
    return [(test, ALL, models) for test in groups["test"]] + [
        (name, name, trained) for name, trained in own.items() if set(trained) != set(models)
    ]


def layer_rows(values: np.ndarray, settings: TableSettings, empty: np.ndarray) -> list[dict[str, Any]]:
    """The columns of each layer.

    Args:
        values: (models, layers, 1 + draws), means over test tasks.
        empty: how many pairs of tasks have none, (layers,).
    """
    confidence, there = settings["tables.confidence"], ~np.isnan(values[:, :, 0])
    means = mean_of(values, axis=0)
    drawn = np.random.default_rng(0).integers(len(values), size=(settings["tables.bootstrap"], len(values)))
    resampled = mean_of(values[drawn, :, 0], axis=1)  # (replicates, layers)
    found = []
    for layer, (value, *null) in enumerate(means):
        low, high = interval_of(resampled[:, layer], confidence) if there[:, layer].sum() > 1 else (np.nan, np.nan)
        null_low, null_high = interval_of(np.array(null), confidence)
        found.append(
            {
                **{"layer": layer, "value": value, "ci_low": low, "ci_high": high},
                **{"null_mean": float(mean_of(np.array(null), axis=0)), "null_low": null_low, "null_high": null_high},
                **{"n_models": int(there[:, layer].sum()), "n_empty": int(empty[layer])},
            }
        )
    return found


def rows(settings: TableSettings, *, similarity: list[Path]) -> list[dict[str, Any]]:
    """One row a panel, line and layer: a test group's mean in every matrix, and its test tasks' in all together."""
    found, groups, result = read_similarities(similarity), settings["groups"], []
    matrices, methods = (list(found.cells[column].unique()) for column in ("matrix", "method"))
    for group, models, trained in panels(groups, found.models):
        tests = groups["test"][group]
        for matrix in sorted(matrices, key=lambda name: name != TOGETHER):
            for method in sorted(methods, key=lambda name: name != MEAN_VECTOR):
                values = found.of(trained, tests, matrix=matrix, method=method)
                empty = np.isnan(values[..., 0])
                named = {"matrix": matrix, "method": method}
                lines = {MEAN: (mean_of(values, axis=1), empty.sum(axis=(0, 1)))}
                if matrix == TOGETHER:
                    lines |= {
                        settings.tasks[task]["name"]: (values[:, number], empty[:, number].sum(axis=0))
                        for number, task in enumerate(tests)
                    }
                for line, (of_line, none) in lines.items():
                    result += [
                        {"test_group": group, "models": models, "test_task": line, **named, **row}
                        for row in layer_rows(of_line, settings, none)
                    ]
    return result
