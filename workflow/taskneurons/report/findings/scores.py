"""How far the scores can be trusted, and how far the neurons that they choose overlap."""

from taskneurons.report.findings.common import Tables, with_interval


def faithfulness(tables: Tables) -> list[str]:
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


def sums_of_scores(tables: Tables) -> list[str]:
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


def areas(tables: Tables) -> list[str]:
    """Sufficiency and necessity of every rule's sets."""
    sentences = []
    for ablation, rows in tables["set_faithfulness_means"].groupby("ablation", sort=False):
        listed = "; ".join(
            f"{row['rule']} {with_interval(row, 'cpr')} and {with_interval(row, 'necessity_area')}"
            for _, row in rows.iterrows()
        )
        sentences.append(
            f"Area under sufficiency (CPR) and under necessity over the share of neurons, {ablation} ablation, mean "
            f"over {rows['n_tasks_with_areas'].iloc[0]} tasks: {listed}."
        )
    return sentences


def stability(tables: Tables, enough: float) -> str:
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


def overlap(tables: Tables) -> str:
    table = tables["overlap_rate"]
    inner = table[table["proportion_pct"] < 100]
    above = (inner["ci_low"] > inner["chance"]).sum()
    return (
        f"Training and test tasks' neurons overlap more than independent sets of the same sizes in {above} of "
        f"{len(inner)} cells below 100 % (intervals above chance)."
    )
