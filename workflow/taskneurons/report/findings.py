"""The paper's claims, held against this run's tables: each a sentence with its numbers, whatever they show."""

import pandas as pd

Tables = dict[str, pd.DataFrame]

RELATIONS = {"own": "the task itself", "family": "its family", "other": "the other tasks"}


# Table of means → its methods (as it is, own neurons, random ones) and the sentence about their values.
MEANS = {
    "deactivation_means": (
        ("original", "deactivate-task", "deactivate-random"),
        "On average over the {kind} tasks the score goes from {plain:.1f} to {own:.1f} with a task's own neurons off "
        "and to {random:.1f} with as many random ones off",
    ),
    "neuron_tuning_means": (
        ("zero-shot", "train-task", "train-random"),
        "Training only a task's own neurons of the base model brings the score, on average over the {kind} tasks, from "
        "{plain:.1f} to {own:.1f}, training as many random ones to {random:.1f}",
    ),
}


def _means(tables: Tables, name: str) -> list[str]:
    methods, text = MEANS[name]
    sentences = []
    for kind, rows in tables[name].groupby("kind", sort=False):
        value, paper = (
            dict(zip(("plain", "own", "random"), rows.set_index("method").loc[list(methods), column], strict=True))
            for column in ("value", "paper_llama")
        )
        sentence = text.format(kind=kind, **value)
        if not any(pd.isna(figure) for figure in paper.values()):
            sentence += " (the paper, Llama-2-7b: {plain:.1f} to {own:.1f} and {random:.1f})".format(**paper)
        sentences.append(f"{sentence}.")
    return sentences


# Table of effects → what its values compare.
EFFECTS = {
    "deactivation_effect": "Switching off a task's own neurons hurts more than switching off random ones",
    "neuron_tuning_effect": "Training a task's own neurons brings more than training random ones",
}


def _own_against_random(tables: Tables, name: str) -> str:
    effect = tables[name]
    more, less = (effect["ci_low"] > 0).sum(), (effect["ci_high"] < 0).sum()
    alike = ((effect["ci_low"] == 0) & (effect["ci_high"] == 0)).sum()
    of_which = f", on {alike} of which both do alike on all examples" if alike else ""
    return (
        f"{EFFECTS[name]} on {more} of {len(effect)} tasks, and less on {less} (intervals over test examples that "
        f"exclude zero); on {len(effect) - more - less} the interval includes zero{of_which}. "
        f"Trainings: {effect['n_seeds'].iloc[0]}, random draws: {effect['n_draws'].iloc[0]}."
    )


def _tuning_diagonal(tables: Tables) -> list[str]:
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


def _proportions(tables: Tables) -> list[str]:
    sentences = []
    for task, rows in tables["single_task_proportion"].groupby("task", sort=False):
        points = ", ".join(
            f"{value:.1f} at {percent:g} %"
            for percent, value in zip(rows["proportion_pct"], rows["value"], strict=True)
        )
        sentences.append(f"{task} {points}")
    return [f"Single tasks by the proportion of all neurons that is trained: {'; '.join(sentences)}."]


def _specificity(tables: Tables) -> list[str]:
    sentences = []
    if tables["specificity"].empty:
        return []
    for relation, rows in tables["specificity"].groupby("relation", sort=False):
        own, other = (rows["ci_low"] > 0).sum(), (rows["ci_high"] < 0).sum()
        sentences.append(
            f"Against {relation} sets: on {own} of {len(rows)} tasks the task's own neurons matter more to it than the "
            f"other tasks' do, on {other} less, on {len(rows) - own - other} the interval includes zero "
            f"(mean {rows['value'].mean():+.1f} points)."
        )
    return sentences


def _diagonal(tables: Tables) -> str:
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


def _overlap(tables: Tables) -> str:
    table = tables["overlap_rate"]
    inner = table[table["proportion_pct"] < 100]
    above = (inner["ci_low"] > inner["chance"]).sum()
    return (
        f"Training and test tasks' neurons overlap more than independent sets of the same sizes in {above} of "
        f"{len(inner)} cells below 100 % (intervals above chance)."
    )


def _damage(tables: Tables) -> list[str]:
    table = tables["selection_damage"]
    loss = table[table["measure"] == "loss"]
    k = loss.groupby("k")["rule"].nunique().idxmax()  # where the most rules can be compared
    sentences = []
    for rule, rows in loss[loss["k"] == k].groupby("rule", sort=False):
        means = rows.groupby("relation", sort=False)["value"].mean()
        parts = [f"{means[name].round(2) + 0:.2f} for {text}" for name, text in RELATIONS.items() if name in means]
        sentences.append(f"{rule} ({rows['n_neurons'].mean():.0f} neurons) {', '.join(parts)}")
    return [
        f"Rise of the target tokens' loss (nats a token, mean over tasks) with the sets of k = {k:g} % off, of which "
        f"some rules leave few neurons: {'; '.join(sentences)}."
    ]


def _faithfulness(tables: Tables) -> list[str]:
    sentences = []
    for state, rows in tables["faithfulness"].groupby("state", sort=False):
        means = rows.groupby("criterion")[["spearman", "recall"]].mean().sort_values("spearman", ascending=False)
        listed = ", ".join(
            f"{criterion} {row['spearman']:.2f} (recall {row['recall']:.2f})" for criterion, row in means.iterrows()
        )
        sentences.append(
            f"Rank correlation with the exact effect of switching off single neurons, {state} model, mean over "
            f"{rows['task'].nunique()} tasks: {listed}."
        )
    return sentences


def _sums_of_scores(tables: Tables) -> list[str]:
    """Up to which share of neurons the sum of a task's own best scores tells what they do together."""
    sentences = []
    table = tables["set_faithfulness"]
    for ablation, rows in tables["set_faithfulness_means"].groupby("ablation", sort=False):
        own = rows.iloc[0]  # the first rule is the task's own top share
        tried = table[(table["ablation"] == ablation) & (table["rule"] == own["rule"])]
        means = tried.groupby("share_pct")[["joint_change", "signed_sum", "absolute_sum"]].mean()
        listed = ", ".join(
            f"{share:g} % {row['joint_change']:.2g} ({row['signed_sum']:.2g}, {row['absolute_sum']:.2g})"
            for share, row in means.iterrows()
        )
        median, least, most = (own[f"telling_share_pct_{name}"] for name in ("median", "min", "max"))
        sentences.append(
            f"Under {ablation} ablation the signed sum of a task's own best scores is within a factor of two of the "
            f"change of the loss when all these neurons are off up to {median:g} % of all neurons (median over "
            f"{own['n_tasks']} tasks, {least:g} to {most:g} %; 0: not even at the smallest share tried, "
            f"{means.index[0]:g} %). Change and, in brackets, signed and absolute sum in nats, means over tasks: "
            f"{listed}."
        )
    return sentences


def _areas(tables: Tables) -> list[str]:
    """Sufficiency and necessity of every rule's sets."""
    sentences = []
    for ablation, rows in tables["set_faithfulness_means"].groupby("ablation", sort=False):
        listed = "; ".join(
            f"{row['rule']} {_with_interval(row, 'cpr')} and {_with_interval(row, 'necessity_area')}"
            for _, row in rows.iterrows()
        )
        sentences.append(
            f"Area under sufficiency (CPR) and under necessity over the share of neurons, {ablation} ablation, mean "
            f"over {rows['n_tasks_with_areas'].iloc[0]} tasks: {listed}."
        )
    return sentences


def _with_interval(row: pd.Series, name: str) -> str:
    return f"{row[name]:.2f} [{row[f'{name}_ci_low']:.2f}, {row[f'{name}_ci_high']:.2f}]"


def _stability(tables: Tables, enough: float) -> str:
    table = tables["stability"]
    of_all_tasks = table.pivot(index="task", columns="n_examples", values="value").dropna(axis="columns")
    means = of_all_tasks.mean()
    listed = ", ".join(f"{value:.0f} % with {size}" for size, value in means.items())
    lasting = means[::-1].ge(enough).cummin()[::-1]  # from this size on all larger ones reach it too
    size = lasting.idxmax() if lasting.any() else means.index[-1]
    verdict = f"{size} examples are enough for" if lasting.any() else "no size tried is enough for"
    weakest = of_all_tasks[size].idxmin()
    return (
        f"Masks from two disjoint sets of examples agree (Jaccard, mean over tasks) to {listed} examples in each: "
        f"{verdict} {enough:g} % (with {size} the least is {of_all_tasks.loc[weakest, size]:.0f} %, {weakest}); chance "
        f"is {table['chance'].mean():.0f} %."
    )


def findings(tables: Tables, enough: float) -> list[str]:
    """The sentences about the tables that there are, for the top of the report.

    Args:
        tables: the report's tables by name.
        enough: percent of agreement between masks of disjoint examples that counts as enough.
    """
    told = {
        "deactivation_means": lambda: _means(tables, "deactivation_means"),
        "deactivation_effect": lambda: [_own_against_random(tables, "deactivation_effect")],
        "neuron_tuning_means": lambda: _means(tables, "neuron_tuning_means"),
        "neuron_tuning_effect": lambda: [_own_against_random(tables, "neuron_tuning_effect")],
        "cross_task_tuning": lambda: _tuning_diagonal(tables),
        "single_task_proportion": lambda: _proportions(tables),
        "specificity": lambda: _specificity(tables),
        "cross_task_deactivation": lambda: [_diagonal(tables)],
        "overlap_rate": lambda: [_overlap(tables)],
        "selection_damage": lambda: _damage(tables),
        "faithfulness": lambda: _faithfulness(tables),
        "set_faithfulness_means": lambda: [*_sums_of_scores(tables), *_areas(tables)],
        "stability": lambda: [_stability(tables, enough)],
    }
    return [sentence for name, tell in told.items() if name in tables for sentence in tell()]
