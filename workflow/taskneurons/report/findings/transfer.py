"""What predicts transfer from one task to another."""

import pandas as pd

from taskneurons.report.findings.common import Tables


def _rank_correlation(row: pd.Series, name: str = "spearman", prefix: str = "") -> str:
    """A rank correlation with its interval and p."""
    low, high, p = (row[f"{prefix}{end}"] for end in ("ci_low", "ci_high", "p"))
    return f"{row[name]:+.2f} [{low:+.2f}, {high:+.2f}], p = {p:.2g}"


def transfer(tables: Tables) -> list[str]:
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
