"""Continual learning (section 4): which of the paper's rankings hold, and what stands beside them."""

import pandas as pd

from taskneurons.report.findings.common import Tables, numbered
from taskneurons.tables.continual_runs import ALONE, MEAN, UNTRAINED, summary

NCFT, WEIGHTED, DYNAMIC = "NCFT", "W-NCFT", "Dynamic NCFT"
BELOW = ("SeqFT", "SeqLoRA", "EPI")  # which the paper's NCFT is above
CLAIM = {1: "holds", -1: "is the other way round", 0: "is not shown"}
PLACE = {1: "above it", -1: "below it", 0: "not shown to be above or below it"}


def numbers(row: pd.Series, name: str, sign: int = 1) -> tuple[float, float, float]:
    """A value with its interval to a decimal; with sign −1 that of the opposite."""
    prefix = "" if name == "value" else f"{name}_"
    value, *ends = (round(sign * row[column], 1) + 0 for column in (name, f"{prefix}ci_low", f"{prefix}ci_high"))
    return value, min(ends), max(ends)  # no -0.0


def level(row: pd.Series, name: str = "value") -> str:
    return "{:.1f} [{:.1f}, {:.1f}]".format(*numbers(row, name))


def less(row: pd.Series, name: str, sign: int = 1) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*numbers(row, name, sign))


def side(row: pd.Series, name: str, sign: int = 1) -> int:
    """On which side of zero an interval is; 0: it includes zero."""
    return sign * (int(row[f"{name}_ci_low"] > 0) - int(row[f"{name}_ci_high"] < 0))


def learning(tables: Tables) -> list[str]:
    """What the numbers are, then the sentences of each benchmark: means over its orders, by the measure label."""
    table = tables["continual_learning"]
    table = table[table["measure"] == "label"]
    sentences = [_what(summary(table))]
    for benchmark, rows in table.groupby("benchmark", sort=False):
        means, orders = summary(rows).set_index("method"), rows[rows["order"] != MEAN]
        told = [
            *_sequential(means),
            *_above_others(means),
            *_weighted(means, orders),
            *_olora(means, str(benchmark)),
            *_random(means),
            *_dynamic(means),
        ]
        sentences += [f"On {benchmark}, {sentence}" for sentence in told]
    return sentences


def _what(means: pd.DataFrame) -> str:
    """What the numbers are, and what their intervals cover."""
    sizes = [
        f"{benchmark} {numbered(rows['n_orders'].max(), 'order')} of {numbered(rows['n_tasks'].max(), 'task')}"
        for benchmark, rows in means.groupby("benchmark", sort=False)
    ]
    seeds = means.loc[means["method"] != UNTRAINED, "n_seeds"].min()
    covered = "test examples and seeds" if seeds > 1 else "test examples; one seed, whose chance they do not cover"
    return (
        f"Continual learning, accuracy after the last task in points, means over orders ({', '.join(sizes)}; intervals "
        f"over {covered})."
    )


def _sequential(means: pd.DataFrame) -> list[str]:
    """What SeqFT does at its best rate."""
    if "SeqFT" not in means.index:
        return []
    row = means.loc["SeqFT"]
    told = f"SeqFT at the learning rate chosen for it ({row['learning_rate']:g}) ends at {level(row)}"
    if not pd.isna(row["paper_llama"]):
        told += f" (the paper's, at a rate that it does not give, at {row['paper_llama']:.1f})"
    if not pd.isna(row["forgetting"]):
        told += f" and forgets {level(row, 'forgetting')}"
    beside = [f"{name} {level(means.loc[name])}" for name in (UNTRAINED, ALONE, "Joint") if name in means.index]
    return [f"{told}{'; beside it ' if beside else ''}{', '.join(beside)}."]


def _above_others(means: pd.DataFrame) -> list[str]:
    """Whether NCFT is above the paper's three."""
    there = [method for method in BELOW if method in means.index and NCFT in means.index]
    if not there:
        return []
    listed = [
        f"{less(means.loc[method], 'vs_ncft', -1)} beside {method} ({CLAIM[side(means.loc[method], 'vs_ncft', -1)]})"
        for method in there
    ]
    return [f"the paper has NCFT above {', '.join(BELOW)}; here it is {', '.join(listed)}."]


def _weighted(means: pd.DataFrame, orders: pd.DataFrame) -> list[str]:
    """Whether W-NCFT is above NCFT on every order."""
    rows = orders[(orders["method"] == WEIGHTED) & orders["vs_ncft"].notna()]
    if rows.empty:
        return []
    listed = ", ".join(f"order {row['order']} {less(row, 'vs_ncft')}" for _, row in rows.iterrows())
    sides = [side(row, "vs_ncft") for _, row in rows.iterrows()]
    claim = "does not hold" if -1 in sides else "holds" if 0 not in sides else "is not shown"
    told = (
        f"the paper has W-NCFT above NCFT on every order, which {claim} (above on {sides.count(1)} of {len(sides)}, "
        f"below on {sides.count(-1)}): {listed}"
    )
    if "W-NCFT-delta" in means.index:
        told += (
            f"; with changes weighted in place of columns (W-NCFT-delta) {less(means.loc['W-NCFT-delta'], 'vs_ncft')}"
        )
    return [f"{told}."]


def _olora(means: pd.DataFrame, benchmark: str) -> list[str]:
    """O-LoRA beside W-NCFT, as in the paper where it has this benchmark."""
    if not {"O-LoRA", WEIGHTED} <= set(means.index):
        return []
    row = means.loc["O-LoRA"]
    paper, here = row["paper_llama"] - means.loc[WEIGHTED, "paper_llama"], less(row, "vs_w_ncft")
    if pd.isna(paper):
        return [f"O-LoRA is {here} beside W-NCFT: {PLACE[side(row, 'vs_w_ncft')]} (the paper has no {benchmark})."]
    claim = CLAIM[side(row, "vs_w_ncft", 1 if paper > 0 else -1)]
    return [f"the paper has O-LoRA {paper:+.1f} beside W-NCFT; here it is {here}, so that its sign {claim}."]


def _random(means: pd.DataFrame) -> list[str]:
    """Whether it matters which neurons NCFT trains."""
    if not {NCFT, "NCFT-random"} <= set(means.index):
        return []
    row = means.loc["NCFT-random"]
    claim = {
        1: "a task's own neurons are better",
        -1: "random ones are better",
        0: "which neurons are trained is not shown to matter",
    }
    return [f"NCFT is {less(row, 'vs_ncft', -1)} beside as many random neurons: {claim[side(row, 'vs_ncft', -1)]}."]


def _dynamic(means: pd.DataFrame) -> list[str]:
    """Dynamic NCFT beside the best methods that are given the task's identity, and beside its own controls."""
    if DYNAMIC not in means.index:
        return []
    given = means[means["needs_task_id"].astype(bool)]
    best = [of["value"].idxmax() for of in (given, given.drop(ALONE, errors="ignore")) if len(of)]
    groups = {
        "told the task, and the best by these test examples, which favours them": dict.fromkeys(best),
        "routed in the same way": [name for name in ("Routed random", "Routed LoRA") if name in means.index],
    }
    parts = []
    for what, methods in groups.items():
        rows = [(name, means.loc[name]) for name in methods]
        listed = [f"{name} {less(row, 'vs_dynamic_ncft')}, {PLACE[side(row, 'vs_dynamic_ncft')]}" for name, row in rows]
        if listed:
            parts.append(f"{', '.join(listed)} ({what})")
    told = f"Dynamic NCFT, which is not told the task, ends at {level(means.loc[DYNAMIC])}"
    return [f"{told}{'; beside it ' if parts else ''}{'; '.join(parts)}."]


def tuning(tables: Tables) -> list[str]:
    """The rates that were chosen, and where the choice is open."""
    table = tables["continual_tuning"]
    chosen = table[table["chosen"].astype(bool)]
    listed = ", ".join(f"{row['method']} {row['learning_rate']:g}" for _, row in chosen.iterrows())
    at_edge = ", ".join(chosen.loc[chosen["at_edge"].astype(bool), "method"]) or "none"
    return [
        f"Learning rates of continual learning, chosen by the accuracy on validation examples of two tasks "
        f"({chosen['tasks'].iloc[0]}): {listed}. At an end of their grid, so that a better one may lie beyond: "
        f"{at_edge}. What is best for two tasks need not be for longer sequences."
    ]
