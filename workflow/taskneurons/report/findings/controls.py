"""Controls of the first proof: are own sets specific, or do they hold the model up?"""

import math

import pandas as pd

from taskneurons.report.findings.common import Tables, with_interval
from taskneurons.tables.hubs import HUBS

# The rows of the specificity table that were chosen beforehand → how they choose and switch off.
CONTROLS = {
    "the paper's": "the paper's control (the top 10 % by score, set to zero)",
    "headline": "the fair one, fixed in advance (contrastive sets by scores from the mean, set to the mean, at equal "
    "own damage)",
}


def specificity(tables: Tables) -> list[str]:
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
    told = f"own sets cost {with_interval(row, 'own')} and other families' sets {with_interval(row, 'other')}"
    verdicts = []
    if not pd.isna(row["own_less_random"]):
        told += f", own less random {with_interval(row, 'own_less_random')}"
        more, less = row["own_less_random_ci_low"] > 0, row["own_less_random_ci_high"] < 0
        harm = "more harmful" if more else "less harmful" if less else "not shown to be more harmful"
        verdicts.append(f"{harm} than random ones")
    if pd.isna(row["contrast"]):
        verdicts.append("there are not sets of two families, to tell whether they are specific")
    else:
        told += f", contrast {with_interval(row, 'contrast')}, p = {row['p']:.2g}"
        if row["n_floored"]:
            told += f" ({row['n_floored']:.0f} of {row['n_tasks'] ** 2} damages below the floor)"
        specific = row["contrast_ci_low"] > 0 and row["p"] < 0.05
        too_few = 1 / math.factorial(int(row["n_tasks"])) >= 0.05  # no order of so few tasks can be as rare as that
        verdict = "specific" if specific else "not shown to be specific"
        verdicts.append("of too few tasks for a verdict on specificity" if too_few else verdict)
    left_out = f" (tasks left out, as some way does them no harm: {row['n_unreached']})" if row["n_unreached"] else ""
    return f"{told}: {' and '.join(verdicts)}{left_out}"


def universal(tables: Tables) -> list[str]:
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
        costs = [f"{with_interval(row, 'other')} set to {row['ablation']}" for _, row in alone.iterrows()]
        told += f"; with them alone off all tasks' loss rises by {' and '.join(costs)} (nats a token)"
    return [f"{told}."]


def hubs(tables: Tables) -> list[str]:
    """How many hubs there are, where, and what they and the rest of a task's neurons do alone."""
    table = tables["hubs"]
    hubs = table[table["group"] == HUBS]
    number, of_all = hubs["n_neurons"].sum(), hubs["layer_neurons"].sum()
    by_chance = (hubs["chance"] * hubs["layer_neurons"]).sum() / 100
    most = hubs.loc[hubs["value"].idxmax()]
    told = (
        f"{number:.0f} of {of_all:.0f} neurons are hubs (universal), where {by_chance:.1f} would be if tasks chose "
        f"independently; layer {most['layer']:.0f} holds the most ({most['value']:.0f} % of it)"
    )
    if "selection_damage" in tables and (off := _hubs_off(tables["selection_damage"])):
        told += f"; {off}"
    return [f"{told}."]


def _hubs_off(damage: pd.DataFrame) -> str | None:
    """What is lost with hubs alone off, with a task's own neurons but them, and with all; None without such sets."""
    loss = damage[damage["measure"] == "loss"]
    means = loss.groupby(["rule", "k", "relation"])["value"].mean()
    for k in loss.loc[loss["rule"] == "without-universal", "k"].unique():
        whole = next((rule for rule in ("global", "per-layer") if (rule, k, "own") in means.index), None)
        if whole is None or ("universal", k, "own") not in means.index:
            continue
        sets = {
            rule: f"{means[rule, k, 'own']:.2f} (other families' tasks {means.get((rule, k, 'other'), math.nan):.2f})"
            for rule in ("without-universal", whole)
        }
        return (
            f"with them alone off a task's loss rises by {means['universal', k, 'own']:.2f} nats a token, with its own "
            f"neurons but them off by {sets['without-universal']}, with all its own off by {sets[whole]}, "
            "means over tasks"
        )
    return None


RELATIONS = {"own": "the task itself", "family": "its family", "other": "the other tasks"}


def damage(tables: Tables) -> list[str]:
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
