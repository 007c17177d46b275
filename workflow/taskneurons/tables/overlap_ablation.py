"""Tables 9 to 11: groups trained on neurons that share a given part with the test tasks' neurons, and two placebos.

Every number is of the pair's test tasks, a mean over tasks of their means.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings
from taskneurons.tables.intervals import percentile_interval, resampled_examples

UNITS = {"score": 100.0, "loss": 1.0}  # points; nats
KINDS = ["none", "natural", "controlled", "other-kind", "score-matched"]
PLACEBOS = KINDS[3:]
SHOWN = {"none": "zero-shot"}  # kind → as the table names it
OF_SET = ("n_neurons", "overlap", "other", "jaccard", "mean_score")


@dataclass(frozen=True)
class Measured:
    """One cell by one measure.

    Attributes:
        rows: its rows of the step, all draws.
        draws: (n_draws,), which.
        means: (n_draws, 1 + replicates): each draw's mean over test tasks, of all examples and of resampled ones.
    """

    rows: pd.DataFrame
    draws: np.ndarray
    means: np.ndarray

    def value(self) -> float:
        return float(self.means[:, 0].mean())

    def over_examples(self, confidence: float) -> tuple[float, float]:
        """The interval over test examples, of the mean over the draws that there are."""
        return percentile_interval(self.means[:, 1:].mean(axis=0), confidence)

    def over_draws_too(self, confidence: float) -> tuple[float, float] | tuple[None, None]:
        """The interval over test examples and draws; none of a single draw."""
        number, replicates = len(self.draws), self.means.shape[1] - 1
        if number < 2:
            return None, None
        chosen = np.random.default_rng(0).integers(number, size=(number, replicates))
        return percentile_interval(self.means[chosen, np.arange(1, replicates + 1)].mean(axis=0), confidence)

    def less(self, other: "Measured") -> "Measured":
        """This less another, draw by draw, of the draws that both have."""
        draws, own, others = np.intersect1d(self.draws, other.draws, return_indices=True)
        return Measured(self.rows, draws, self.means[own] - other.means[others])


def measured(rows: pd.DataFrame, replicates: int, unit: float) -> Measured:
    """The cell of some rows of one measure; a replicate has the same examples for all cells of the same tasks."""
    draws = np.sort(rows["draw"].unique())
    means = []
    for task, of_task in rows.groupby("task"):
        examples = of_task.pivot_table(index="draw", columns="id", values="value").loc[draws].to_numpy()
        chosen = resampled_examples(str(task), examples.shape[1], replicates)
        means.append(np.stack([values[chosen].mean(axis=1) for values in examples]))
    return Measured(rows, draws, unit * np.mean(means, axis=0))


def read_cells(paths: list[Path]) -> pd.DataFrame:
    """The rows of all pairs and trained proportions, with these as columns; the share is 0 where none was asked for."""
    frames = []
    for path in paths:
        frame, made = read_frame(path, "measures of trained groups")
        frames.append(frame.assign(pair=made["pair"], trained=float(made["trained"])))
    return pd.concat(frames, ignore_index=True).fillna({"share": 0.0})


def _row(named: dict[str, Any], cell: Measured, settings: TableSettings, controlled: Measured | None) -> dict[str, Any]:
    """The row of a cell that could be made.

    Args:
        controlled: the controlled cell that a placebo stands against.
    """
    confidence = settings["tables.confidence"]
    low, high = cell.over_examples(confidence)
    draws_low, draws_high = cell.over_draws_too(confidence)
    of_set = cell.rows.drop_duplicates("draw")[list(OF_SET)].mean()
    less: dict[str, float | None] = {"controlled_less": None, "less_ci_low": None, "less_ci_high": None}
    if controlled is not None:
        difference = controlled.less(cell)
        less_low, less_high = difference.over_draws_too(confidence)
        less = {"controlled_less": difference.value(), "less_ci_low": less_low, "less_ci_high": less_high}
    return {
        **named,
        "overlap_pct": of_set["overlap"],
        "value": cell.value(),
        "ci_low": low,
        "ci_high": high,
        "sd_draws": float(cell.means[:, 0].std(ddof=1)) if len(cell.draws) > 1 else None,
        "draws_ci_low": draws_low,
        "draws_ci_high": draws_high,
        **less,
        "jaccard_pct": of_set["jaccard"],
        "other_kind_pct": of_set["other"],
        "mean_score": of_set["mean_score"],
        "n_neurons": int(of_set["n_neurons"]),
        "n_draws": 0 if named["overlap_kind"] in ("zero-shot", "natural") else len(cell.draws),
        "n_tasks": cell.rows["task"].nunique(),
        "n_test": len(cell.rows[["task", "id"]].drop_duplicates()),
        "reason": None,
    }


COLUMNS = ("group", "trained_pct", "overlap_pct", "value", "overlap_kind", "asked_pct", "measure")


def rows(settings: TableSettings, *, overlap_ablations: list[Path], published: Path) -> list[dict[str, Any]]:
    """One row a pair, trained proportion, measure, kind and share; one that could not be made says why."""
    paper = pd.read_csv(published)
    result = []
    for (pair, trained), of_pair in read_cells(overlap_ablations).groupby(["pair", "trained"], sort=False):
        failed = of_pair[of_pair["reason"] != ""]
        for measure, unit in UNITS.items():
            of_measure = of_pair[of_pair["measure"] == measure]
            if of_measure.empty:
                continue
            cells = {
                key: measured(found, settings["tables.bootstrap"], unit)
                for key, found in of_measure.groupby(["kind", "share"])
            }
            reasons = dict(list(failed.groupby(["kind", "share"])))
            for kind, share in sorted({*cells, *reasons}, key=lambda key: (KINDS.index(key[0]), key[1])):
                named = {
                    "group": pair,
                    "trained_pct": trained,
                    "overlap_kind": SHOWN.get(kind, kind),
                    "asked_pct": share or None,
                    "measure": measure,
                }
                if (kind, share) in cells:
                    against = cells.get(("controlled", share)) if kind in PLACEBOS else None
                    row = _row(named, cells[kind, share], settings, against)
                else:
                    row = _impossible(named, reasons[kind, share])
                row["paper_llama"] = _published(paper, row) if measure == "score" else None
                result.append({**{column: row[column] for column in COLUMNS}, **row})
    return result


def _impossible(named: dict[str, Any], rows: pd.DataFrame) -> dict[str, Any]:
    first = rows.iloc[0]
    nothing = {"overlap_pct": None, "value": None}
    numbers = {"n_neurons": int(first["n_neurons"]), "n_draws": 0, "n_tasks": 0, "n_test": 0}
    return {**named, **nothing, **numbers, "reason": first["reason"]}


def _published(paper: pd.DataFrame, row: dict[str, Any]) -> float | None:
    """The paper's figure of the same pair and proportion: natural beside natural, controlled by the asked share."""
    same = np.logical_and.reduce([paper[key] == row[key] for key in ("group", "trained_pct", "overlap_kind")])
    found = paper[same]
    if row["overlap_kind"] == "controlled":
        found = found[found["overlap_pct"] == row["asked_pct"]]
    return float(found["value"].iloc[0]) if len(found) else None
