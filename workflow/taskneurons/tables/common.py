"""What the tables share: the prediction files as score arrays, the published figures, and how a table is written."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons import command
from taskneurons.artifacts import read_frame, replacing, write_frame
from taskneurons.bootstrap import mean_interval, mean_of_means_interval
from taskneurons.errors import UserError


@dataclass(frozen=True)
class Predictions:
    """The scores (0–1) of all test examples of one task.

    Attributes:
        task: the task's key.
        shown: its name, family, metric and published counterpart.
        conditions: condition → scores (models, examples); the models differ by training seed.
        facts: the metadata of the first model's file (n_test, truncated_prompts, truncated_targets, …).
    """

    task: str
    shown: dict[str, Any]
    conditions: dict[str, np.ndarray]
    facts: dict[str, Any]

    def random_conditions(self) -> list[str]:
        return [name for name in self.conditions if name.startswith("random-")]

    def method_conditions(self, method: str) -> list[str]:
        """The conditions that a method of the deactivation or the neuron tuning table averages over."""
        if method.endswith("-random"):
            return self.random_conditions()
        return [self.task if method.endswith("-task") else "none"]

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
        frame, facts = read_frame(path, "predictions")
        if facts["task"] in found:
            found[facts["task"]].append((frame, facts))
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


def value_and_interval(scores: np.ndarray, settings: dict[str, Any]) -> dict[str, float]:
    """The columns value, ci_low and ci_high of scores (runs, examples); settings: bootstrap, confidence."""
    value, low, high = mean_interval(scores, settings["bootstrap"], settings["confidence"])
    return {"value": value, "ci_low": low, "ci_high": high}


def method_row(
    predictions: Predictions, method: str, conditions: list[str], spec: dict[str, Any], published: Published
) -> dict[str, Any]:
    """One cell of a table of methods by tasks: the mean over models and conditions, with all its columns."""
    drawn = [name for name in conditions if name in predictions.random_conditions()]
    return {
        "model": spec["model"],
        "method": method,
        "task": predictions.shown["name"],
        "metric": predictions.shown["metric"],
        **value_and_interval(predictions.scores(*conditions), spec["tables"]),
        "n_seeds": predictions.n_seeds(),
        "n_draws": len(drawn),
        **published.cells(method=method, task=predictions.shown["counterpart"]),
        "n_test": predictions.facts["n_test"],
        "truncated_prompts_pct": 100 * predictions.facts["truncated_prompts"],
        "truncated_targets_pct": 100 * predictions.facts["truncated_targets"],
    }


KINDS = {"accuracy": "classification", "rougeL": "generation"}


def means_row(method: str, tasks: list[Predictions], spec: dict[str, Any], published: Published) -> dict[str, Any]:
    """The mean of a method over tasks of one kind; the published mean is over the counterparts of the same tasks."""
    chosen = [one.method_conditions(method) for one in tasks]
    groups = [one.scores(*names).mean(axis=0) for one, names in zip(tasks, chosen, strict=True)]
    value, low, high = mean_of_means_interval(groups, spec["tables"]["bootstrap"], spec["tables"]["confidence"])
    cells = [published.cells(method=method, task=one.shown["counterpart"]) for one in tasks]
    return {
        "model": spec["model"],
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


def difference_row(one: Predictions, first: list[str], second: list[str], spec: dict[str, Any]) -> dict[str, Any]:
    """A task's mean score under the first conditions less that under the second ones, paired by test example."""
    difference = one.scores(*first).mean(axis=0) - one.scores(*second).mean(axis=0)
    return {
        "task": one.shown["name"],
        "metric": one.shown["metric"],
        **value_and_interval(difference, spec["tables"]),
        "n_seeds": one.n_seeds(),
        "n_draws": len(one.random_conditions()),
        "n_test": one.facts["n_test"],
    }


def change_columns(one: Predictions, scores: np.ndarray, reference: np.ndarray, spec: dict[str, Any]) -> dict[str, Any]:
    """The columns of one cell of a cross-task table: a task's score, and its change from a reference.

    Args:
        scores: (runs, examples), in points.
        reference: (runs, examples), of which as many examples are taken as `scores` has.
    """
    difference = scores.mean(axis=0) - reference[:, : scores.shape[1]].mean(axis=0)
    change = value_and_interval(difference, spec["tables"])
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


def write_table(rows: list[dict[str, Any]], spec: dict[str, Any], parquet: Path, csv: Path) -> None:
    """Write a table as Parquet, with its metadata, and as CSV with four decimals."""
    frame = pd.DataFrame(rows)
    write_frame(parquet, frame, "table", {"spec": spec})
    with replacing(csv) as partial:
        frame.round(4).to_csv(partial, index=False)


def table_command(
    description: str | None,
    inputs: dict[str, str],
    rows: Callable[[argparse.Namespace], list[dict[str, Any]]],
) -> None:
    """Run a table's command line: `rows` makes the table from the files that the options in `inputs` name.

    Args:
        inputs: option name → help; all but the option `published` take several files.
    """
    options = command.parser(description)
    for name, text in inputs.items():
        several = None if name == "published" else "+"
        options.add_argument(f"--{name}", type=Path, nargs=several, required=True, help=text)
    options.add_argument("--parquet", type=Path, required=True, help="write the table here (Parquet)")
    options.add_argument("--csv", type=Path, required=True, help="write the table here (CSV)")

    def main(arguments: argparse.Namespace) -> None:
        write_table(rows(arguments), arguments.spec, arguments.parquet, arguments.csv)

    command.run(main, options)
