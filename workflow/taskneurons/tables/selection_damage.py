"""Damage by rule and k: what a task, its family and the other tasks lose when the neurons that a rule selects are off.

The damage in "loss" is the rise of the target tokens' loss (nats a token); in "score" it is the fall of accuracy or
ROUGE-L (points). Own is the task whose neurons are off, family the other tasks of its family, other the rest; each is
the mean over those tasks. Random sets belong to no task: their damage to a task is the mean over draws.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings, read_predictions
from taskneurons.tables.intervals import mean_of_means_interval

Damages = dict[str, dict[tuple[str, float, str, str], np.ndarray]]


def damages_of(frame: pd.DataFrame) -> dict[tuple[str, float, str, str], np.ndarray]:
    """(rule, k, masked_task, measure) → damage of every example, mean over draws; random sets are of "random"."""
    frame = frame.assign(masked_task=frame["masked_task"].where(frame["rule"] != "random", "random"))
    means = frame.groupby(["rule", "k", "masked_task", "measure", "id"])["value"].mean()
    whole = means["none", 0.0, "none"]
    result = {}
    for key, values in means.drop("none").groupby(level=["rule", "k", "masked_task", "measure"]):
        rule, k, masked, measure = key
        change = values.droplevel(["rule", "k", "masked_task", "measure"]) - whole[measure]
        result[rule, k, masked, measure] = (-100 * change if measure == "score" else change).to_numpy()
    return result


def read_losses(damage: list[Path], specificity: list[Path], ablation: str, reference: str) -> dict[str, pd.DataFrame]:
    """Task → the rows of both steps that measure damage, each set once.

    Of the sets that specificity compares these are the ones of a given k, chosen and switched off as the run does.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for path in damage:
        frame, provenance = read_frame(path, "damage")
        found[provenance["task"]] = [frame]
    for path in specificity:
        frame, provenance = read_frame(path, "damage")
        sets = frame[(frame["matching"] == "k") & (frame["ablation"] == ablation) & (frame["rule"] != "universal")]
        found[provenance["task"]].append(sets[sets["reference"].isin([reference, "none"])])
    return {task: pd.concat(parts, ignore_index=True) for task, parts in found.items()}


def related(own: str, tasks: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """The tasks of each relation to `own`."""
    family = tasks[own]["family"]
    others = [task for task in tasks if task != own]
    return {
        "own": [own],
        "family": [task for task in others if tasks[task]["family"] == family],
        "other": [task for task in others if tasks[task]["family"] != family],
    }


def rows(
    settings: TableSettings,
    *,
    damage: list[Path],
    specificity: list[Path],
    first_original_predictions: list[Path],
) -> list[dict[str, Any]]:
    """One row a rule, k, masked task, relation and measure; a relation without tasks has none."""
    tasks = settings.tasks
    damages: Damages = {}
    sizes: dict[tuple[str, float, str], int] = {}
    losses = read_losses(damage, specificity, settings["ablation"], settings["attribution.reference"])
    for task, frame in losses.items():
        damages[task] = damages_of(frame)
        first = frame.groupby(["rule", "k", "masked_task"])["n_neurons"].first()
        sizes |= {key: int(size) for key, size in first.items()}  # type: ignore[misc]
    for one in read_predictions(first_original_predictions, tasks):
        # The plain top k % of the main job has been scored there already: on the same examples, cut to as many here.
        limit = min(settings["evaluation.cross_task_examples"], settings["damage.scored_examples"])
        whole = one.scores("none")[0, :limit]
        for masked in tasks:
            damages[one.task][settings["selection.scope"], float(settings["selection.k"]), masked, "score"] = (
                whole - one.scores(masked)[0, :limit]
            )
    keys = dict.fromkeys((rule, k, measure) for found in damages.values() for rule, k, _, measure in found)
    result = []
    for rule, k, measure in sorted(keys):
        for masked in tasks:
            name = "random" if rule == "random" else masked
            for relation, members in related(masked, tasks).items():
                if not members:
                    continue
                groups = [damages[task][rule, k, name, measure] for task in members]
                value, low, high = mean_of_means_interval(
                    groups, settings["tables.bootstrap"], settings["tables.confidence"]
                )
                result.append(
                    {
                        "rule": rule,
                        "k": k,
                        "masked_task": tasks[masked]["name"],
                        "relation": relation,
                        "measure": measure,
                        "value": value,
                        "ci_low": low,
                        "ci_high": high,
                        "n_neurons": sizes.get((rule, k, "random-0" if rule == "random" else masked)),
                        "n_tasks": len(members),
                        "n_test": sum(len(values) for values in groups),
                    }
                )
    return result
