"""Specificity: what a task's own set costs the task itself, its family and other families, on losses.

One row a combination of ablation, reference of the scores, rule and matching: sets of equal k, or of equal damage to
their own task (`selection/equal_damage.py`). Own, family and other are mean rises of the target tokens' loss over pairs
of a set's task and the task tested: the same one, two of one family, two of different families. Sets of no task (random
ones, mean over draws, and the universal neurons) have rows of their own, with the mean over all tasks in "other".

The primary measure is the contrast (`contrast.py`). The headline row and its counterpart, the paper's own comparison,
are fixed beforehand (docs/architecture.md says since when); every other row is exploratory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings
from taskneurons.tables.contrast import FLOOR, contrast, permutation_p
from taskneurons.tables.intervals import percentile_interval

EQUAL = "equal own damage"
PAPERS_MATCHING = "k = 10"
OF_NO_TASK = ("random", "universal")
RANDOM_LIKE = "random-like-"  # as many random neurons as a set of equal own damage has, off on its own task alone
COMBINATION = ["ablation", "reference", "rule", "matching"]
ABLATIONS, REFERENCES = ("zero", "mean"), ("zero", "mean", "none")
MEASURES = [
    *(f"{name}{end}" for name in ("own", "family", "other") for end in ("", "_ci_low", "_ci_high")),
    "own_over_other",
    *(f"own_less_random{end}" for end in ("", "_ci_low", "_ci_high")),
    "most_harmful",
    *(f"contrast{end}" for end in ("", "_ci_low", "_ci_high")),
    *("p", "n_floored"),
]
COUNTS = ("most_harmful", "n_floored")


def status(ablation: str, reference: str, rule: str, matching: str, own_rule: str) -> str:
    """What a row is: the headline, the paper's own comparison (with its random control), or exploratory."""
    if (ablation, reference, rule, matching) == ("mean", "mean", "contrastive", EQUAL):
        return "headline"
    paper = ablation == "zero" and matching == PAPERS_MATCHING
    if paper and ((reference, rule) == ("zero", own_rule) or rule == "random"):
        return "the paper's"
    return "exploratory"


def read_damages(paths: list[Path]) -> pd.DataFrame:
    """The damage to every example: the columns of COMBINATION, masked_task, tested, id, k, n_neurons and damage.

    Draws are averaged, and sets of no task have the masked task "".
    """
    parts = []
    for path in paths:
        frame, made = read_frame(path, "damage")
        whole = frame[frame["rule"] == "none"].set_index("id")["value"]
        sets = frame[frame["rule"] != "none"].assign(tested=made["task"])
        parts.append(sets.assign(damage=sets["value"] - sets["id"].map(whole)))
    frame = pd.concat(parts, ignore_index=True)
    frame["matching"] = [
        EQUAL if matching == "own damage" else f"k = {k:g}"
        for matching, k in zip(frame["matching"], frame["k"], strict=True)
    ]
    of_no_task = frame["rule"].isin(OF_NO_TASK) | frame["rule"].str.startswith(RANDOM_LIKE)
    frame["masked_task"] = frame["masked_task"].mask(of_no_task, "")
    keys = [*COMBINATION, "masked_task", "tested", "id"]
    return frame.groupby(keys)[["damage", "k", "n_neurons"]].mean().reset_index()


@dataclass(frozen=True)
class Tested:
    """The tasks that are tested, with the bootstrap's draws of their examples, the same for all sets.

    Attributes:
        families: task → family.
        draws: task → (replicates, examples) of indices.
        confidence: of the intervals, in percent.
    """

    families: dict[str, str]
    draws: dict[str, np.ndarray]
    confidence: float

    def means(self, damages: pd.DataFrame, tasks: list[str]) -> np.ndarray:
        """The mean damage of every set to every task, and its replicates: (1 + replicates, sets, tasks).

        Args:
            damages: of one combination; its sets are in the order of their tasks.
            tasks: those whose sets and examples count.
        """
        found = []
        for task in tasks:
            rows = damages[damages["tested"] == task].pivot(index="masked_task", columns="id", values="damage")
            values = rows.loc[[one for one in ("", *tasks) if one in rows.index]].to_numpy()  # (sets, examples)
            found.append(np.vstack([values.mean(axis=1), values[:, self.draws[task]].mean(axis=-1).T]))
        return np.stack(found, axis=-1)

    def other(self, tasks: list[str]) -> np.ndarray:
        """Which pairs of tasks are of two families: bool (n, n)."""
        families = np.array([self.families[task] for task in tasks])
        return families[:, None] != families

    def with_interval(self, name: str, values: np.ndarray) -> dict[str, float]:
        """The columns of a value, the first, and its interval by the others, its replicates."""
        low, high = percentile_interval(values[1:], self.confidence)
        return {name: float(values[0]), f"{name}_ci_low": low, f"{name}_ci_high": high}


def columns_of_sets(tested: Tested, means: np.ndarray, tasks: list[str]) -> dict[str, Any]:
    """What the sets of every task do, by their relation to the task tested, and the contrast.

    Args:
        means: (1 + replicates, sets, tasks), sets and tasks in one order.
    """
    other, same = tested.other(tasks), np.eye(len(tasks), dtype=bool)
    found: dict[str, Any] = {}
    for name, pairs in (("own", same), ("family", ~other & ~same), ("other", other)):
        if pairs.any():
            found |= tested.with_interval(name, means[:, pairs].mean(axis=-1))
    if not other.any():
        return found
    if found["other"] > 0:
        found["own_over_other"] = found["own"] / found["other"]
    whole = means[0]
    strongest = np.where(other, whole, -np.inf).max(axis=0)
    found["most_harmful"] = int((np.diagonal(whole) > strongest).sum())
    found |= tested.with_interval("contrast", contrast(means, other))
    return {**found, "p": permutation_p(whole, other), "n_floored": int((whole < FLOOR).sum())}


def combinations(damages: pd.DataFrame, own_rule: str) -> list[tuple[dict[str, str], pd.DataFrame]]:
    """Every combination's names and rows: matching by matching, sets of no task last."""
    rules = [own_rule, "contrastive", *OF_NO_TASK, f"{RANDOM_LIKE}{own_rule}", f"{RANDOM_LIKE}contrastive"]

    def place(key: tuple[str, str, str, str]) -> tuple[float, ...]:
        ablation, reference, rule, matching = key
        k = np.inf if matching == EQUAL else float(matching.removeprefix("k = "))
        return k, rule in OF_NO_TASK, ABLATIONS.index(ablation), REFERENCES.index(reference), rules.index(rule)

    found = dict(iter(damages.groupby(COMBINATION)))
    return [(dict(zip(COMBINATION, key, strict=True)), found[key]) for key in sorted(found, key=place)]


def row_of(
    names: dict[str, str], part: pd.DataFrame, drawn: pd.DataFrame | None, tested: Tested, own_rule: str
) -> dict[str, Any]:
    """The row of a combination; a measure that it has not (no other family, a damage that is not reached) is empty.

    Args:
        part: its damages.
        drawn: those of random sets of the same number, where there are some.
    """
    of_no_task = names["rule"] in OF_NO_TASK
    part = part[part["k"] > 0]  # with 0 the task's equal own damage is not reached
    reached = set(part["masked_task"])
    tasks = [task for task in tested.families if of_no_task or task in reached]
    sizes = part.groupby("masked_task")[["k", "n_neurons"]].first().mean()
    row: dict[str, Any] = {**names, "status": status(**names, own_rule=own_rule), **sizes}
    row |= dict.fromkeys(MEASURES, np.nan) | dict.fromkeys(COUNTS, pd.NA)
    if tasks:
        means = tested.means(part, tasks)
        if of_no_task:
            row |= tested.with_interval("other", means[:, 0].mean(axis=-1))
        else:
            row |= columns_of_sets(tested, means, tasks)
        if drawn is not None and not of_no_task:
            own = np.diagonal(means, axis1=-2, axis2=-1)
            row |= tested.with_interval("own_less_random", (own - tested.means(drawn, tasks)[:, 0]).mean(axis=-1))
    n_test = sum(tested.draws[task].shape[1] for task in tasks)
    return {**row, "n_tasks": len(tasks), "n_unreached": len(tested.families) - len(tasks), "n_test": n_test}


def rows(settings: TableSettings, *, specificity: list[Path]) -> list[dict[str, Any]]:
    """One row a combination."""
    damages, own_rule = read_damages(specificity), settings["selection.scope"]
    families = {task: shown["family"] for task, shown in settings.tasks.items()}
    n_test = damages.groupby("tested")["id"].nunique()
    rng = np.random.default_rng(0)
    draws = {task: rng.integers(n_test[task], size=(settings["tables.bootstrap"], n_test[task])) for task in families}
    tested = Tested(families, draws, settings["tables.confidence"])
    found = combinations(damages, own_rule)
    of_size = {(key["ablation"], key["matching"]): part for key, part in found if key["rule"] == "random"}
    like = {tuple(key.values()): part for key, part in found}

    def drawn(names: dict[str, str]) -> pd.DataFrame | None:
        its_own = like.get((names["ablation"], names["reference"], f"{RANDOM_LIKE}{names['rule']}", names["matching"]))
        return of_size.get((names["ablation"], names["matching"]), its_own)

    shown = [(names, part) for names, part in found if not names["rule"].startswith(RANDOM_LIKE)]
    return [row_of(names, part, drawn(names), tested, own_rule) for names, part in shown]
