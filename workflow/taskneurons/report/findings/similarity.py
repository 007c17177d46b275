"""Similarity of parameters inside a model, and whether it goes with generalisation (Figure 3, Table 4)."""

import pandas as pd

from taskneurons.report.findings.common import Tables, limits, numbered
from taskneurons.tables.correlations import ALL_ORDERS, FEWEST, needed, rank_correlations, smallest_rank_p


def similarity(tables: Tables) -> list[str]:
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
            f"({numbered(own['n_models'].max(), 'model')}): {limits(bottom)} in layer {bottom.name}, highest with "
            f"{limits(peak)} in layer {peak.name}, {limits(top)} in layer {top.name}; the paper's course (a rise "
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


def _course(bottom: pd.Series, peak: pd.Series, top: pd.Series) -> str:
    """Whether a course rises and falls, in words."""
    ends = (bottom, top)
    if peak.name in [end.name for end in ends]:
        return f"does not show, for the highest layer is the {'bottom' if peak.name == bottom.name else 'top'} one"
    if all(peak["ci_low"] > end["ci_high"] for end in ends):
        return "shows, with intervals that do not touch"
    return "shows in the values, but the intervals touch or are missing"


def similarity_correlation(tables: Tables) -> list[str]:
    """Table 4 in a sentence a measure, and what so few models can show."""
    table = tables["similarity_correlation"]
    table = table[(table["layers"] == "mean") & (table["method"] == "mean-vector")]
    tests, means = table[table["test_task"] != "mean"], table[table["test_task"] == "mean"]
    models = int(table["n"].max())
    if models < FEWEST:
        return [
            f"Similarity of parameters and generalisation cannot be correlated over {numbered(models, 'model')}: it "
            f"takes {FEWEST} at least."
        ]
    measures = {"score": "score", "loss": "fall of the loss"}
    parts = []
    for (measure, statistic), rows in tests.dropna(subset=["value"]).groupby(["measure", "statistic"], sort=False):
        sure = rows["p_value"] < 0.05
        of_groups = means[(means["measure"] == measure) & (means["statistic"] == statistic)]
        listed = ", ".join(f"{row['test_group']} {limits(row)}" for _, row in of_groups.iterrows())
        parts.append(
            f"{statistic} with the {measures[str(measure)]} {rows['value'].min():.2f} to {rows['value'].max():.2f}, "
            f"positive with p < 0.05 for {(sure & (rows['value'] > 0)).sum()} and negative with p < 0.05 for "
            f"{(sure & (rows['value'] < 0)).sum()} of {len(rows)} test tasks (means by test group: {listed})"
        )
    needs = f"takes |r| of {needed(models, 'pearson'):.2f} by Pearson"
    if models <= ALL_ORDERS:
        of_ranks = needed(models, "spearman")
        needs += " and is out of Spearman's reach" if pd.isna(of_ranks) else f" and {of_ranks:.2f} by Spearman"
    sentences = [
        f"Correlation of the similarity of parameters with generalisation over n = {models} models (Table 4; mean "
        f"vectors, mean over layers, intervals over models): {'; '.join(parts)}."
        if parts
        else "",
        f"What n = {models} can show: the smallest two-sided p of a rank correlation is {smallest_rank_p(models):.2g}, "
        f"and p < 0.05 {needs}; of {len(tests)} tests {0.05 * len(tests):.1f} would have it by "
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
