"""Groups of tasks trained together: proportions of neurons (Figure 2), and preset overlaps (Tables 9 to 11)."""

import pandas as pd

from taskneurons.report.findings.common import Tables, interval, verdict


def sweep(tables: Tables) -> list[str]:
    """Where the curves of groups trained together peak, and whether that is where the paper's do."""
    table = tables["proportion_sweep"]
    measure = "score" if "score" in set(table["measure"]) else "loss"
    sentences = []
    for group, rows in table[table["measure"] == measure].groupby("group", sort=False):
        told = [_peak(of_curve, 1 if measure == "score" else 2) for _, of_curve in rows.groupby("curve", sort=False)]
        seeds = rows["n_seeds"].max()
        sentences.append(
            f"{group} tasks trained together, by proportion of neurons; where the {measure} is best, with the interval "
            f"of that place over test examples (trainings: {seeds:.0f}): {'; '.join(told)}."
        )
    return sentences


def _peak(rows: pd.DataFrame, digits: int) -> str:
    """Where a curve peaks, what its interval says of the curve's shape, and where the paper's has its peak."""
    values = rows.set_index("proportion_pct")["value"]
    first, tried = rows.iloc[0], values.index[values.index > 0]
    low, high, paper = first["peak_ci_low"], first["peak_ci_high"], first["paper_peak_pct"]
    if low == tried.max():
        shape = "still rising at the largest proportion tried"
    elif high == tried.min():
        shape = "best at the smallest proportion tried"
    elif high < tried.max():
        shape = "better before the largest proportion tried than at it"
    else:
        shape = "not shown to have its best before the largest proportion tried, or there"
    best = f"{values[first['peak_pct']]:.{digits}f} (untrained {values[0]:.{digits}f})"
    told = f"{first['curve']} {best} at {first['peak_pct']:g} % [{low:g}, {high:g}], {shape}"
    if pd.isna(paper):
        return told
    rises = " (rising to the end)" if paper == 100 else ""
    agrees = "in" if low <= paper <= high else "out of"
    return f"{told}; the paper's peak, {paper:g} %{rises}, is {agrees} the interval"


def overlap_ablation(tables: Tables) -> list[str]:
    """What each placebo says of the controlled cells, cell by cell, and how many cells could be made."""
    table = tables["overlap_ablation"]
    sentences = []
    for measure, rows in table.groupby("measure", sort=False):
        sign = 1 if measure == "score" else -1  # a smaller loss is better
        parts = []
        for kind in ("other-kind", "score-matched"):
            cells = rows[(rows["overlap_kind"] == kind) & rows["less_ci_low"].notna()]
            if len(cells):
                ends = sign * cells[["less_ci_low", "less_ci_high"]]
                better, worse = (ends.min(axis=1) > 0).sum(), (ends.max(axis=1) < 0).sum()
                parts.append(f"better than {kind} sets in {better} of {len(cells)} cells and worse in {worse}")
        if parts:
            sentences.append(
                f"By the {measure} on test tasks, random sets that overlap with these tasks' neurons do "
                f"{'; '.join(parts)} (intervals over test examples and draws that exclude zero)."
            )
    cells = table.drop_duplicates(["group", "trained_pct", "overlap_kind", "asked_pct"])
    controlled = cells[cells["overlap_kind"] == "controlled"]
    return [
        *sentences,
        f"Controlled cells of the overlap ablation: {controlled['value'].notna().sum()} made, "
        f"{controlled['value'].isna().sum()} impossible (the table says why).",
    ]


BETTER = {"score": ("better", "worse"), "loss": ("worse", "better")}  # measure → what more of it and less of it is


OPEN = "not shown to help or to harm"


CLAIMS = {  # better by overlap alone, better beside the placebos → the paper's claim
    (True, True): "shows, also beside the placebos",
    (True, False): "shows by overlap alone, and does not beside the placebos",
    (False, True): "shows beside the placebos alone",
    (False, False): "does not show",
    (True, None): "shows by overlap alone (there are too few sets to tell it from the placebos)",
    (False, None): "does not show by overlap alone (there are too few sets to tell it from the placebos)",
}


def overlap_regression(tables: Tables) -> list[str]:
    """What ten points of overlap are worth, alone and with the placebos, over all pairs, and in each."""
    table = tables["overlap_regression"]
    sentences = []
    for measure, rows in table[table["coefficient"].notna()].groupby("measure", sort=False):
        unit, digits = ("points", 1) if measure == "score" else ("nats a token", 3)
        first, parts, better = rows["group"].iloc[0], [], {}
        for (model, group), terms in rows.groupby(["model", "group"], sort=False):
            found = terms.set_index("term")
            # By overlap alone for all pairs together; with the placebos for each pair too.
            if "overlap" not in found.index or (model == "overlap alone" and group != first):
                continue
            told_as = verdict(found.loc["overlap"], *BETTER[str(measure)], OPEN)
            told = f"{group}, {model}, {interval(found.loc['overlap'], 'coefficient', digits)}: {told_as}"
            if "other kind" in found.index:
                told += f" (of the other kind {interval(found.loc['other kind'], 'coefficient', digits)})"
            parts.append(told)
            if group == first:
                better[model] = told_as == "better"
        if "overlap alone" in better:
            claim = CLAIMS[better["overlap alone"], better.get("with placebos")]
            sentences.append(
                f"That more overlap with the test tasks' neurons goes with better results {claim}, "
                f"by the {measure} ({first}). Ten points more of the trained set in their union, in {unit}: "
                f"{'; '.join(parts)}. The intervals rest on {rows['n_clusters'].min():.0f} to "
                f"{rows['n_clusters'].max():.0f} draws, and are too narrow for that."
            )
    return sentences
