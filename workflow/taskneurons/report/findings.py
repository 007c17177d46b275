"""The paper's claims, held against this run's tables: each a sentence with its numbers, whatever they show."""

from collections.abc import Iterator

import pandas as pd

from taskneurons.tables.correlations import ALL_ORDERS, FEWEST, needed, rank_correlations, smallest_rank_p

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
        "Training only a task's own neurons of the base model, at the {rate} learning rate, brings the score, on "
        "average over the {kind} tasks, from {plain:.1f} to {own:.1f}, training as many random ones in each layer to "
        "{random:.1f}",
    ),
}


def _means(tables: Tables, name: str) -> list[str]:
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


def _tuning_effect(tables: Tables) -> list[str]:
    """The primary measure first, then the same at other rates and against other sets, as exploratory."""
    table = tables["neuron_tuning_effect"]
    means = table[table["n_tasks"] > 1]
    sentences = [
        f"Primary measure of neuron tuning, fixed in advance by the workflow: training a task's own neurons "
        f"brings {_interval(row)} points more than training as many random ones in each layer, each at the rate that "
        f"validation loss chose for it (k = 10 %, one epoch, mean over {row['n_tasks']} tasks, interval over tasks): "
        f"own neurons are {_verdict(row, 'better', 'worse', 'neither shown to be better nor worse')}."
        for _, row in means[means["measure"] == "primary"].iterrows()
    ]
    explored = means[means["measure"] == "exploratory"]
    listed = "; ".join(
        f"less {row['against']} at the {row['rate']} rate {_interval(row)}" for _, row in explored.iterrows()
    )
    if listed:
        sentences.append(f"Exploratory, in points, mean over tasks with intervals over tasks: own {listed}.")
    of_tasks = table[(table["n_tasks"] == 1) & (table["against"] == "random")]
    return sentences + [
        _own_against_random(rows, TUNING_EFFECT.format(rate=rate))
        for rate, rows in of_tasks.groupby("rate", sort=False)
    ]


def _interval(row: pd.Series, value: str = "value", digits: int = 1) -> str:
    return "{:+.{digits}f} [{:+.{digits}f}, {:+.{digits}f}]".format(
        *(row[column] for column in (value, "ci_low", "ci_high")), digits=digits
    )


def _verdict(row: pd.Series, more: str, less: str, open_: str) -> str:
    """Which of three words an interval allows."""
    return more if row["ci_low"] > 0 else less if row["ci_high"] < 0 else open_


ENOUGH_TASKS = 4  # resampling fewer says too little for a verdict


def _budgets(tables: Tables) -> list[str]:
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
        told = f"{place} at the {row['rate']} rate {_interval(row, 'less', digits=3)}"
        verdict = _verdict(row, "more", "less", "open") if row["n_tasks"] >= ENOUGH_TASKS else "few"
        found[verdict].append(told)
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


def _rates(tables: Tables) -> list[str]:
    """The learning rates that were chosen, and where the choice is open."""
    table = tables["learning_rates"]
    chosen = table[table["chosen"]].drop_duplicates("kind")
    listed = ", ".join(f"{row['kind']} {row['learning_rate']:g}" for _, row in chosen.iterrows())
    at_edge = ", ".join(chosen.loc[chosen["at_edge"], "kind"]) or "none"
    return [
        f"Learning rates of neuron tuning, chosen by validation loss at selection.k: {listed}. Still an end of the "
        f"rates tried, so that a better one may lie beyond: {at_edge}."
    ]


DEACTIVATION_EFFECT = "Switching off a task's own neurons hurts more than switching off random ones"
TUNING_EFFECT = "At the {rate} learning rate training a task's own neurons brings more than training random ones"


def _own_against_random(effect: pd.DataFrame, claim: str) -> str:
    more, less = (effect["ci_low"] > 0).sum(), (effect["ci_high"] < 0).sum()
    alike = ((effect["ci_low"] == 0) & (effect["ci_high"] == 0)).sum()
    of_which = f", on {alike} of which both do alike on all examples" if alike else ""
    return (
        f"{claim} on {more} of {len(effect)} tasks, and less on {less} (intervals over test examples that "
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


def _with_interval(row: pd.Series, name: str) -> str:
    """A value of a row with its interval; a dash where it has none."""
    if pd.isna(row[name]):
        return "–"
    if pd.isna(row[f"{name}_ci_low"]):
        return f"{row[name]:.2f} (no interval)"
    value, low, high = (round(row[f"{name}{end}"], 2) + 0 for end in ("", "_ci_low", "_ci_high"))  # no -0.00
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


# The rows of the specificity table that were chosen beforehand → how they choose and switch off.
CONTROLS = {
    "the paper's": "the paper's control (the top 10 % by score, set to zero)",
    "headline": "the fair one, fixed in advance (contrastive sets by scores from the mean, set to the mean, at equal "
    "own damage)",
}


def _specificity(tables: Tables) -> list[str]:
    table = tables["specificity"]
    parts = []
    for status, control in CONTROLS.items():
        for _, row in table[(table["status"] == status) & (table["rule"] != "random")].iterrows():
            parts.append(f"under {control} {_own_sets(row)}")
    if not parts:
        return []
    return [
        "The paper's first proof is that a task loses most with its own neurons off. In rises of the loss, nats a "
        f"token (means over tasks, intervals over test examples): {'; '.join(parts)}."
    ]


def _own_sets(row: pd.Series) -> str:
    """What a task's own sets cost, and whether they are more harmful than random ones, and specific."""
    if row["n_tasks"] == 0:
        return "no task's sets reach an equal own damage"
    told = f"own sets cost {_with_interval(row, 'own')} and other families' sets {_with_interval(row, 'other')}"
    verdicts = []
    if not pd.isna(row["own_less_random"]):
        told += f", own less random {_with_interval(row, 'own_less_random')}"
        more, less = row["own_less_random_ci_low"] > 0, row["own_less_random_ci_high"] < 0
        harm = "more harmful" if more else "less harmful" if less else "not shown to be more harmful"
        verdicts.append(f"{harm} than random ones")
    if pd.isna(row["contrast"]):
        verdicts.append("there are not sets of two families, to tell whether they are specific")
    else:
        told += f", contrast {_with_interval(row, 'contrast')}, p = {row['p']:.2g}"
        if row["n_floored"]:
            told += f" ({row['n_floored']:.0f} of {row['n_tasks'] ** 2} damages below the floor)"
        specific = row["contrast_ci_low"] > 0 and row["p"] < 0.05
        verdicts.append("specific" if specific else "not shown to be specific")
    left_out = f" (tasks left out, as some way does them no harm: {row['n_unreached']})" if row["n_unreached"] else ""
    return f"{told}: {' and '.join(verdicts)}{left_out}"


def _universal(tables: Tables) -> list[str]:
    table = tables["universal_neurons"]
    if table.empty:
        return ["No neuron is in at least half of all tasks' top k."]
    shares = table.groupby("layer")["layer_pct"].first().sort_values(ascending=False).head(3)
    layers = ", ".join(f"{layer} ({share:.0f} % of it)" for layer, share in shares.items())
    told = (
        f"{len(table)} neurons ({table['all_pct'].iloc[0]:.1f} % of all) are in at least half of all tasks' top k, "
        f"most of them by share in the layers {layers}"
    )
    if "specificity" in tables:
        alone = tables["specificity"]
        alone = alone[(alone["rule"] == "universal") & (alone["reference"] == table["reference"].iloc[0])]
        costs = [f"{_with_interval(row, 'other')} set to {row['ablation']}" for _, row in alone.iterrows()]
        told += f"; with them alone off all tasks' loss rises by {' and '.join(costs)} (nats a token)"
    return [f"{told}."]


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
    relations = [name for name in RELATIONS if name in set(loss["relation"])]
    means = loss[loss["k"] == k].pivot_table(index="rule", columns="relation", values="value", sort=False)[relations]
    listed = [
        f"{rule} {' / '.join(f'{value:.2f}' for value in values)}" for rule, values in (means.round(2) + 0).iterrows()
    ]
    whose = " / ".join(RELATIONS[name] for name in relations)
    sets = f"with the sets of k = {k:g} % off"
    return [f"Rise of the loss (nats a token, means) of {whose} {sets}: {'; '.join(listed)}."]


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


def _rank_correlation(row: pd.Series, name: str = "spearman", prefix: str = "") -> str:
    """A rank correlation with its interval and p."""
    low, high, p = (row[f"{prefix}{end}"] for end in ("ci_low", "ci_high", "p"))
    return f"{row[name]:+.2f} [{low:+.2f}, {high:+.2f}], p = {p:.2g}"


def _transfer(tables: Tables) -> list[str]:
    """What predicts transfer best, where the paper's measures stand, and what is left of them given the dummies."""
    table = tables["transfer_prediction"]
    primary = table[table["status"] == "primary"].set_index("predictor")
    known = primary[primary["spearman"].notna()].sort_values("spearman", ascending=False)
    if known.empty:
        return [f"{primary['n_tasks'].max()} tasks are too few to tell what predicts transfer between them."]
    best = known.index[0]
    papers = [name for name in ("neuron-overlap", "parameter-similarity") if name in known.index and name != best]
    named = [best, *papers]
    standing = "".join(
        f"; {name} is number {known.index.get_loc(name) + 1} of {len(known)} ({_rank_correlation(known.loc[name])})"
        for name in papers
    )
    left = ", ".join(
        f"{name} {_rank_correlation(known.loc[name], 'partial', 'partial_')}"
        for name in named
        if not pd.isna(known.loc[name, "partial"])
    )
    partial = f"; given same family and same kind there is left of {left}" if left else ""
    shown = known.index[(known["ci_low"] > 0) & (known["p_holm"] < 0.05)]
    return [
        f"Of {len(known)} predictors of transfer (the fall of a task's loss after training another task's own neurons; "
        f"rank correlation over {known['n_pairs'].iloc[0]} ordered pairs of {known['n_tasks'].iloc[0]} tasks, source "
        f"and target means taken out, p by permuting tasks, not corrected, intervals over tasks; fixed in advance by "
        f"the workflow) {best} is the best ({_rank_correlation(known.loc[best])}){standing}{partial}; shown to predict "
        f"transfer (interval above zero, and p below 0.05 after Holm's correction for all of them): "
        f"{', '.join(shown) or 'none'}."
    ]


def _numbered(number: float, noun: str) -> str:
    return f"{number:.0f} {noun}{'' if number == 1 else 's'}"


def _similarity(tables: Tables) -> list[str]:
    """The course over layers of each panel of Figure 3, and where it is more than that of random sets."""
    table = tables["similarity"]
    table = table[(table["test_task"] == "mean") & (table["matrix"] == "together")]
    sentences = []
    for (group, models), rows in table.groupby(["test_group", "models"], sort=False):
        by_method = {str(method): part.set_index("layer") for method, part in rows.groupby("method")}
        own = by_method["mean-vector"].dropna(subset=["value"])
        if own.empty:
            continue
        without = by_method["mean-vector-without-shared"]
        bottom, peak, top = own.iloc[0], own.loc[own["value"].idxmax()], own.iloc[-1]
        inside = "all models" if models == "all" else f"the models trained on {models} tasks"
        sentences.append(
            f"Similarity of parameters (mean vectors, all matrices) to {group} test tasks inside {inside} "
            f"({_numbered(own['n_models'].max(), 'model')}): {_limits(bottom)} in layer {bottom.name}, highest with "
            f"{_limits(peak)} in layer {peak.name}, {_limits(top)} in layer {top.name}; the paper's course (a rise "
            f"from the bottom, a fall at the top) {_course(bottom, peak, top)}. Beside random sets of the same sizes: "
            f"{_beside_random(own)}; without the shared neurons: {_beside_random(without)}."
        )
    return sentences


def _beside_random(rows: pd.DataFrame) -> str:
    """In which layers values are above and below the band of random sets, by layer."""
    sides = {"above": rows["value"] > rows["null_high"], "below": rows["value"] < rows["null_low"]}
    listed = {side: _ranges([int(layer) for layer in rows.index[which]]) for side, which in sides.items()}
    return " and ".join(f"{side} the band in {layers or 'no layer'}" for side, layers in listed.items())


def _ranges(numbers: list[int]) -> str:
    """Layers in words, neighbours together: "layers 0, 3 to 5"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    listed = ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
    return f"layer{'s' if len(numbers) > 1 else ''} {listed}" if runs else ""


def _limits(row: pd.Series) -> str:
    interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return f"{row['value']:.2f}{interval}"


def _course(bottom: pd.Series, peak: pd.Series, top: pd.Series) -> str:
    """Whether a course rises and falls, in words."""
    ends = (bottom, top)
    if peak.name in [end.name for end in ends]:
        return f"does not show, for the highest layer is the {'bottom' if peak.name == bottom.name else 'top'} one"
    if all(peak["ci_low"] > end["ci_high"] for end in ends):
        return "shows, with intervals that do not touch"
    return "shows in the values, but the intervals touch or are missing"


def _similarity_correlation(tables: Tables) -> list[str]:
    """Table 4 in a sentence a measure, and what so few models can show."""
    table = tables["similarity_correlation"]
    table = table[(table["layers"] == "mean") & (table["method"] == "mean-vector")]
    tests, means = table[table["test_task"] != "mean"], table[table["test_task"] == "mean"]
    models = int(table["n"].max())
    if models < FEWEST:
        return [
            f"Similarity of parameters and generalisation cannot be correlated over {_numbered(models, 'model')}: it "
            f"takes {FEWEST} at least."
        ]
    measures = {"score": "score", "loss": "fall of the loss"}
    parts = []
    for (measure, statistic), rows in tests.dropna(subset=["value"]).groupby(["measure", "statistic"], sort=False):
        sure = rows["p_value"] < 0.05
        of_groups = means[(means["measure"] == measure) & (means["statistic"] == statistic)]
        listed = ", ".join(f"{row['test_group']} {_limits(row)}" for _, row in of_groups.iterrows())
        parts.append(
            f"{statistic} with the {measures[str(measure)]} {rows['value'].min():.2f} to {rows['value'].max():.2f}, "
            f"positive with p < 0.05 for {(sure & (rows['value'] > 0)).sum()} and negative with p < 0.05 for "
            f"{(sure & (rows['value'] < 0)).sum()} of {len(rows)} test tasks (means by test group: {listed})"
        )
    limits = f"takes |r| of {needed(models, 'pearson'):.2f} by Pearson"
    if models <= ALL_ORDERS:
        of_ranks = needed(models, "spearman")
        limits += " and is out of Spearman's reach" if pd.isna(of_ranks) else f" and {of_ranks:.2f} by Spearman"
    sentences = [
        f"Correlation of the similarity of parameters with generalisation over n = {models} models (Table 4; mean "
        f"vectors, mean over layers, intervals over models): {'; '.join(parts)}."
        if parts
        else "",
        f"What n = {models} can show: the smallest two-sided p of a rank correlation is {smallest_rank_p(models):.2g}, "
        f"and p < 0.05 {limits}; of {len(tests)} tests {0.05 * len(tests):.1f} would have it by "
        f"chance.{_impossible(tests)}",
    ]
    return [sentence for sentence in sentences if sentence]


PAPERS_MODELS = 6


def _impossible(tests: pd.DataFrame) -> str:
    """Which published rank correlations so many models cannot have without ties, to two decimals."""
    published = tests.loc[tests["statistic"] == "spearman", "paper_llama"].dropna()
    possible = set(rank_correlations(PAPERS_MODELS).round(2))
    wrong = [value for value in published if value not in possible]
    if not wrong:
        return ""
    listed = ", ".join(f"{value:g}" for value in sorted(set(wrong)))
    return (
        f" {len(wrong)} of {len(published)} published rank correlations ({listed}) cannot occur over the paper's "
        f"{PAPERS_MODELS} models without ties."
    )


def findings(tables: Tables, enough: float) -> list[str]:
    """The sentences about the tables that there are, for the top of the report.

    Args:
        tables: the report's tables by name.
        enough: percent of agreement between masks of disjoint examples that counts as enough.
    """
    told = {
        "deactivation_means": lambda: _means(tables, "deactivation_means"),
        "deactivation_effect": lambda: [_own_against_random(tables["deactivation_effect"], DEACTIVATION_EFFECT)],
        "neuron_tuning_means": lambda: _means(tables, "neuron_tuning_means"),
        "neuron_tuning_effect": lambda: _tuning_effect(tables),
        "learning_rates": lambda: _rates(tables),
        "tuning_budget": lambda: _budgets(tables),
        "cross_task_tuning": lambda: _tuning_diagonal(tables),
        "single_task_proportion": lambda: _proportions(tables),
        "specificity": lambda: _specificity(tables),
        "universal_neurons": lambda: _universal(tables),
        "cross_task_deactivation": lambda: [_diagonal(tables)],
        "overlap_rate": lambda: [_overlap(tables)],
        "transfer_prediction": lambda: _transfer(tables),
        "similarity": lambda: _similarity(tables),
        "similarity_correlation": lambda: _similarity_correlation(tables),
        "selection_damage": lambda: _damage(tables),
        "faithfulness": lambda: _faithfulness(tables),
        "set_faithfulness_means": lambda: [*_sums_of_scores(tables), *_areas(tables)],
        "stability": lambda: [_stability(tables, enough)],
    }
    return [sentence for name, tell in told.items() if name in tables for sentence in tell()]
