"""What the tables share: their settings, the prediction files as score arrays, and the published figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.config.settings import StepSettings
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.tables.intervals import mean_interval, mean_of_means_interval


class TableSettings(StepSettings):
    """What a table depends on besides its files, as `report/contents.py` declares it.

    Attributes:
        table: its name.
        tasks: task → the fields of its config entry that the table uses.
        config: dotted key of the config → its value.
    """

    table: str
    tasks: dict[str, dict[str, Any]]
    config: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        """The value of a key of the config that the table's declaration names."""
        return self.config[key]


@dataclass(frozen=True)
class Predictions:
    """The scores (0–1) of all test examples of one task.

    Attributes:
        task: the task's key.
        shown: its name, family, metric and published counterpart.
        conditions: condition → scores (models, examples); the models differ by training seed.
        provenance: of the first model's file (n_test, lost, truncated_prompts, truncated_targets, …).
    """

    task: str
    shown: dict[str, Any]
    conditions: dict[str, np.ndarray]
    provenance: dict[str, Any]

    def random_conditions(self) -> list[str]:
        return [name for name in self.conditions if name.startswith("random-")]

    def method_conditions(self, method: str) -> list[str]:
        """The conditions that a method of the deactivation table, or zero-shot, averages over.

        Raises:
            KeyError: there is no such method.
        """
        return {
            "original": ["none"],
            "zero-shot": ["none"],
            "deactivate-task": [self.task],
            "deactivate-random": self.random_conditions(),
        }[method]

    def scores(self, *conditions: str) -> np.ndarray:
        """The scores of some conditions on their common first examples: (models · conditions, examples), in points."""
        chosen = [self.conditions[name] for name in conditions]
        common = min(scores.shape[1] for scores in chosen)
        return 100 * np.concatenate([scores[:, :common] for scores in chosen])

    def n_seeds(self) -> int:
        return len(next(iter(self.conditions.values())))


def read_predictions(paths: list[Path], tasks: dict[str, dict[str, Any]]) -> list[Predictions]:
    """The predictions of every task, in the order of `tasks`; a task's files are those of its models.

    Raises:
        UserError: a file is missing or of another kind, or a task has none.
    """
    found: dict[str, list[tuple[pd.DataFrame, dict[str, Any]]]] = {task: [] for task in tasks}
    for path in paths:
        frame, provenance = read_frame(path, "predictions")
        if provenance["task"] in found:
            found[provenance["task"]].append((frame, provenance))
    result = []
    for task, files in found.items():
        if not files:
            raise UserError(f"no prediction file is of the task {task!r}")
        names = files[0][0]["condition"].unique()
        conditions = {
            name: np.stack([frame.loc[frame["condition"] == name, "score"].to_numpy() for frame, _ in files])
            for name in names
        }
        result.append(Predictions(task, tasks[task], conditions, files[0][1]))
    return result


PAPER_COLUMNS = {"Llama-2-7b": "paper_llama", "Bloom-7b1": "paper_bloom"}


class Published:
    """The paper's figures: one row a model and cell, looked up by the counterpart's name."""

    def __init__(self, path: Path) -> None:
        self.frame = pd.read_csv(path)

    def cells(self, **key: Any) -> dict[str, float | None]:
        """`{"paper_llama": …, "paper_bloom": …}` of one published cell; None where the paper has no such cell."""
        rows = self.frame
        for column, value in key.items():
            rows = rows[rows[column] == value]
        values = rows.set_index("model")["value"]
        return {column: values.get(model) for model, column in PAPER_COLUMNS.items()}


def value_and_interval(scores: np.ndarray, settings: TableSettings) -> dict[str, float]:
    """The columns value, ci_low and ci_high of scores (runs, examples)."""
    value, low, high = mean_interval(scores, settings["tables.bootstrap"], settings["tables.confidence"])
    return {"value": value, "ci_low": low, "ci_high": high}


def method_row(
    predictions: Predictions, method: str, conditions: list[str], settings: TableSettings, published: Published
) -> dict[str, Any]:
    """One cell of a table of methods by tasks: the mean over models and conditions, with all its columns."""
    drawn = [name for name in conditions if name in predictions.random_conditions()]
    return {
        "model": settings["model.name"],
        "method": method,
        "task": predictions.shown["name"],
        "metric": predictions.shown["metric"],
        **value_and_interval(predictions.scores(*conditions), settings),
        "n_seeds": predictions.n_seeds(),
        "n_draws": len(drawn),
        **published.cells(method=method, task=predictions.shown["counterpart"]),
        "n_test": predictions.provenance["n_test"],
        **{f"lost_{reason}": count for reason, count in predictions.provenance["lost"].items()},
        "truncated_prompts_pct": 100 * predictions.provenance["truncated_prompts"],
        "truncated_targets_pct": 100 * predictions.provenance["truncated_targets"],
    }


KINDS = {"accuracy": "classification", "rougeL": "generation"}


def means_row(
    method: str, tasks: list[Predictions], chosen: list[list[str]], settings: TableSettings, published: Published
) -> dict[str, Any]:
    """The mean of a method over tasks of one kind; the published mean is over the counterparts of the same tasks.

    Args:
        chosen: the method's conditions of each task.
    """
    groups = [one.scores(*names).mean(axis=0) for one, names in zip(tasks, chosen, strict=True)]
    value, low, high = mean_of_means_interval(groups, settings["tables.bootstrap"], settings["tables.confidence"])
    cells = [published.cells(method=method, task=one.shown["counterpart"]) for one in tasks]
    return {
        "model": settings["model.name"],
        "method": method,
        "kind": KINDS[tasks[0].shown["metric"]],
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "n_seeds": tasks[0].n_seeds(),
        "n_draws": len(chosen[0]) if method.endswith("-random") else 0,
        **pd.DataFrame(cells).astype(float).mean(skipna=False).to_dict(),
        "n_tasks": len(tasks),
    }


def by_kind(tasks: list[Predictions]) -> list[list[Predictions]]:
    """The tasks of each kind that there is: classification, generation."""
    kinds = [[one for one in tasks if one.shown["metric"] == metric] for metric in KINDS]
    return [kind for kind in kinds if kind]


def difference_row(one: Predictions, first: list[str], second: list[str], settings: TableSettings) -> dict[str, Any]:
    """A task's mean score under the first conditions less that under the second ones, paired by test example."""
    difference = one.scores(*first).mean(axis=0) - one.scores(*second).mean(axis=0)
    return {
        "task": one.shown["name"],
        "metric": one.shown["metric"],
        **value_and_interval(difference, settings),
        "n_seeds": one.n_seeds(),
        "n_draws": len([name for name in (*first, *second) if name in one.random_conditions()]),
        "n_test": one.provenance["n_test"],
    }


def change_columns(
    one: Predictions, scores: np.ndarray, reference: np.ndarray, settings: TableSettings
) -> dict[str, Any]:
    """The columns of one cell of a cross-task table: a task's score, and its change from a reference.

    Args:
        scores: (runs, examples), in points.
        reference: (runs, examples), of which as many examples are taken as `scores` has.
    """
    difference = scores.mean(axis=0) - reference[:, : scores.shape[1]].mean(axis=0)
    change = value_and_interval(difference, settings)
    return {
        "task": one.shown["name"],
        "metric": one.shown["metric"],
        "value": float(scores.mean()),
        "change": change["value"],
        "change_ci_low": change["ci_low"],
        "change_ci_high": change["ci_high"],
        "n_seeds": one.n_seeds(),
        "n_draws": 0,
        "n_test": scores.shape[1],
    }
