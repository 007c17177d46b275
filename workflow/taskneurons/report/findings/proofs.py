"""The paper's two proofs (section 2): neurons switched off, and trained alone."""

from collections.abc import Iterator

import pandas as pd

from taskneurons.report.findings.common import Tables, interval, verdict

# Table of means → its methods (as it is, own neurons, random ones) and the sentence about their values.
MEANS = {
    "deactivation_means": (
        ("original", "deactivate-task", "deactivate-random"),
        "On average over the {kind} tasks the score goes from {plain:.1f} to {own:.1f} with a task's own neurons off "
        "and to {random:.1f} with as many random ones off",
    ),
    "neuron_tuning_means": (
        ("zero-shot", "train-task", "train-random"),
        "Training only a task's own neurons of the base model, at the {rate} learning rate, brings the score, on "
        "average over the {kind} tasks, from {plain:.1f} to {own:.1f}, training as many random ones in each layer to "
        "{random:.1f}",
    ),
}


def means(tables: Tables, name: str) -> list[str]:
    methods, text = MEANS[name]
    sentences = []
    for rate, kind, rows in _by_rate_and_kind(tables[name]):
        value, paper = (
            dict(zip(("plain", "own", "random"), rows.set_index("method").loc[list(methods), column], strict=True))
            for column in ("value", "paper_llama")
        )
        sentence = text.format(kind=kind, rate=rate, **value)
        if not any(pd.isna(figure) for figure in paper.values()):
            sentence += " (the paper, Llama-2-7b: {plain:.1f} to {own:.1f} and {random:.1f})".format(**paper)
        sentences.append(f"{sentence}.")
    return sentences


def _by_rate_and_kind(table: pd.DataFrame) -> Iterator[tuple[str | None, str, pd.DataFrame]]:
    """The rows of each learning rate that a table tells of, zero-shot among all of them, and kind of task."""
    rates = table["rate"].dropna().unique() if "rate" in table else [None]
    for rate in rates:
        of_rate = table if rate is None else table[table["rate"].isna() | (table["rate"] == rate)]
        for kind, rows in of_rate.groupby("kind", sort=False):
            yield rate, str(kind), rows


DEACTIVATION_EFFECT = "Switching off a task's own neurons hurts more than switching off random ones"


def deactivation_effect(tables: Tables) -> list[str]:
    """On how many tasks own neurons matter more than random ones."""
    return [_own_against_random(tables["deactivation_effect"], DEACTIVATION_EFFECT)]


TUNING_EFFECT = "At the {rate} learning rate training a task's own neurons brings more than training random ones"


def tuning_effect(tables: Tables) -> list[str]:
    """The primary measure first, then the same at other rates and against other sets, as exploratory."""
    table = tables["neuron_tuning_effect"]
    means = table[table["n_tasks"] > 1]
    sentences = [
        f"Primary measure of neuron tuning, fixed in advance by the workflow: training a task's own neurons "
        f"brings {interval(row)} points more than training as many random ones in each layer, each at the rate that "
        f"validation loss chose for it (k = 10 %, one epoch, mean over {row['n_tasks']} tasks, interval over tasks): "
        f"own neurons are {verdict(row, 'better', 'worse', 'neither shown to be better nor worse')}."
        for _, row in means[means["measure"] == "primary"].iterrows()
    ]
    explored = means[means["measure"] == "exploratory"]
    listed = "; ".join(
        f"less {row['against']} at the {row['rate']} rate {interval(row)}" for _, row in explored.iterrows()
    )
    if listed:
        sentences.append(f"Exploratory, in points, mean over tasks with intervals over tasks: own {listed}.")
    of_tasks = table[(table["n_tasks"] == 1) & (table["against"] == "random")]
    return sentences + [
        _own_against_random(rows, TUNING_EFFECT.format(rate=rate))
        for rate, rows in of_tasks.groupby("rate", sort=False)
    ]


def _own_against_random(effect: pd.DataFrame, claim: str) -> str:
    more, less = (effect["ci_low"] > 0).sum(), (effect["ci_high"] < 0).sum()
    alike = ((effect["ci_low"] == 0) & (effect["ci_high"] == 0)).sum()
    of_which = f", on {alike} of which both do alike on all examples" if alike else ""
    return (
        f"{claim} on {more} of {len(effect)} tasks, and less on {less} (intervals over test examples that "
        f"exclude zero); on {len(effect) - more - less} the interval includes zero{of_which}. "
        f"Trainings: {effect['n_seeds'].iloc[0]}, random draws: {effect['n_draws'].iloc[0]}."
    )


def diagonal(tables: Tables) -> str:
    table = tables["cross_task_deactivation"]
    matrix = table.pivot(index="masked_task", columns="task", values="change")
    own = {task: matrix.loc[task, task] for task in matrix.columns}
    others = {task: matrix[task].drop(task).min() for task in matrix.columns}
    hits = sum(own[task] < others[task] for task in own)
    ties = sum(own[task] == others[task] for task in own)
    return (
        f"The paper's cross-task matrix has its largest drops on the diagonal. Here a task's own neurons are the set "
        f"that hurts it most for {hits} of {len(matrix)} tasks, and one of several that hurt it equally for {ties}."
    )


def rates(tables: Tables) -> list[str]:
    """The learning rates that were chosen, and where the choice is open."""
    table = tables["learning_rates"]
    chosen = table[table["chosen"]].drop_duplicates("kind")
    listed = ", ".join(f"{row['kind']} {row['learning_rate']:g}" for _, row in chosen.iterrows())
    at_edge = ", ".join(chosen.loc[chosen["at_edge"], "kind"]) or "none"
    return [
        f"Learning rates of neuron tuning, chosen by validation loss at selection.k: {listed}. Still an end of the "
        f"rates tried, so that a better one may lie beyond: {at_edge}."
    ]


ENOUGH_TASKS = 4  # resampling fewer says too little for a verdict


def budgets(tables: Tables) -> list[str]:
    """At which budgets own neurons have learnt more than random ones, by validation loss, and where none is told."""
    table = tables["tuning_budget"]
    own = table[(table["kind"] == "own") & (table["trained_pct"] > 0) & table["ci_low"].notna()]
    if own.empty:
        return []
    found: dict[str, list[str]] = {"more": [], "less": [], "open": [], "few": []}
    for _, row in own.iterrows():
        place = (
            f"{row['steps']:.0f} steps" if row["curve"] == "steps" else f"k = {row['k']:g} %, {row['n_tasks']} tasks,"
        )
        told = f"{place} at the {row['rate']} rate {interval(row, 'less', digits=3)}"
        told_as = verdict(row, "more", "less", "open") if row["n_tasks"] >= ENOUGH_TASKS else "few"
        found[told_as].append(told)
    k = own.loc[own["curve"] == "steps", "k"].iloc[0]
    words = {
        "more": "Own neurons have learnt more at these budgets",
        "less": "Random neurons have learnt more at these",
        "open": "The interval includes zero at these",
        "few": "Of too few tasks for a verdict",
    }
    said = "; ".join(f"{words[verdict]}: {', '.join(budgets)}" for verdict, budgets in found.items() if budgets)
    return [
        f"Validation loss with random neurons (matched in each layer) less that with own ones, in nats a token, mean "
        f"over tasks with intervals over tasks, k = {k:g} % unless another is named "
        f"(at the rates chosen for it). {said}."
    ]


def tuning_diagonal(tables: Tables) -> list[str]:
    table = tables["cross_task_tuning"]
    sentences = []
    for metric, rows in table[table["reading"] == "own-data"].groupby("metric", sort=False):
        tasks = list(rows["task"].unique())
        if len(tasks) < 2:
            continue
        matrix = rows.pivot(index="tuned_task", columns="task", values="change").loc[tasks, tasks]
        own = pd.Series({task: matrix.loc[task, task] for task in tasks})
        others = matrix.mask(pd.DataFrame({task: matrix.index == task for task in tasks}, index=matrix.index))
        column = ((own > others.max()) & (own > 0)).sum()
        row = ((own > others.max(axis="columns")) & (own > 0)).sum()
        sentences.append(
            f"Among the {len(tasks)} tasks measured by {metric}, training a task's own neurons on its data raises that "
            f"task more than training any of the others' does for {column}, and raises none of the others as much for "
            f"{row} (by whatever margin)."
        )
    return sentences


def proportions(tables: Tables) -> list[str]:
    sentences = []
    for task, rows in tables["single_task_proportion"].groupby("task", sort=False):
        points = ", ".join(
            f"{value:.1f} at {percent:g} %"
            for percent, value in zip(rows["proportion_pct"], rows["value"], strict=True)
        )
        sentences.append(f"{task} {points}")
    return [f"Single tasks by the proportion of all neurons that is trained: {'; '.join(sentences)}."]
