"""What a set's overlap with the test tasks' neurons is worth, apart from its score, its size, and the pair of groups.

Ordinary least squares on the random sets of the overlap ablation, one row a set: the mean over the test tasks, on the
set's share of the test tasks' union and of the other kind's, its mean score and its size, with an intercept for every
pair.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm

from taskneurons.tables.common import TableSettings
from taskneurons.tables.overlap_ablation import UNITS, read_cells

# Term → its unit, in words, and the column of `sets_of` that has it in this unit.
TERMS = {
    "overlap": "10 points of overlap with the test tasks' union",
    "other kind": "10 points of overlap with the other test groups' union",
    "score": "the average neuron's score",
    "size": "a doubling of the number of neurons",
}
# Model → the kinds of sets that it looks at, and its terms.
MODELS = {
    "overlap alone": (["controlled"], ["overlap", "size"]),
    "with placebos": (["controlled", "other-kind", "score-matched"], list(TERMS)),
}


def sets_of(cells: pd.DataFrame, measure: str) -> pd.DataFrame:
    """One row a random set: pair, kind, cluster, value (mean over test tasks) and the terms."""
    rows = cells[(cells["measure"] == measure) & cells["kind"].isin(MODELS["with placebos"][0])]
    keys = ["pair", "trained", "kind", "share", "draw"]
    columns = ["overlap", "other", "mean_score", "n_neurons"]
    by_task = rows.groupby([*keys, *columns, "task"], sort=False)["value"].mean()
    sets = by_task.groupby([*keys, *columns], sort=False).mean().reset_index()
    return pd.DataFrame(
        {
            "pair": sets["pair"],
            "kind": sets["kind"],
            # One random order of the neurons makes all sets of a pair's draw.
            "cluster": sets["pair"] + " " + sets["draw"].astype(str),
            "value": UNITS[measure] * sets["value"],
            "overlap": sets["overlap"] / 10,
            "other kind": sets["other"] / 10,
            "score": sets["mean_score"],
            "size": np.log2(sets["n_neurons"]),
        }
    )


def estimable(sets: pd.DataFrame, terms: list[str]) -> tuple[list[str], dict[str, str]]:
    """The terms that the sets can tell apart, in their order; and why each of the others is left out."""
    kept: list[str] = []
    left_out = {}
    design = pd.get_dummies(sets["pair"]).astype(float)
    for term in terms:
        joined = pd.concat([design, sets[[*kept, term]]], axis=1).to_numpy()
        if np.ptp(sets[term] - sets.groupby("pair")[term].transform("mean")) < 1e-9:
            left_out[term] = "the same in all sets of a pair"
        elif np.linalg.matrix_rank(joined) < joined.shape[1]:
            left_out[term] = "told by the other terms"
        else:
            kept.append(term)
    return kept, left_out


def regression(sets: pd.DataFrame, terms: list[str], confidence: float) -> dict[str, dict[str, float]]:
    """Term → its coefficient, standard error (clustered by draw), interval and p, by t with G − 1 degrees of freedom.

    Args:
        sets: as `sets_of` gives them; with more clusters than coefficients, those of the pairs counted.
    """
    design = pd.concat([sets[terms], pd.get_dummies(sets["pair"]).astype(float)], axis=1)
    clusters = pd.factorize(sets["cluster"])[0]
    fitted = sm.OLS(sets["value"], design).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    intervals = fitted.conf_int(alpha=1 - confidence / 100)
    return {
        term: {
            "coefficient": fitted.params[term],
            "se": fitted.bse[term],
            "ci_low": intervals.loc[term, 0],
            "ci_high": intervals.loc[term, 1],
            "p": fitted.pvalues[term],
        }
        for term in terms
    }


NOTHING: dict[str, float | None] = dict.fromkeys(("coefficient", "se", "ci_low", "ci_high", "p"))
ALL = "all pairs"


def _rows(group: str, model: str, measure: str, sets: pd.DataFrame, confidence: float) -> list[dict[str, Any]]:
    """The rows of one regression, a term each."""
    kinds, terms = MODELS[model]
    sets = sets[sets["kind"].isin(kinds)].reset_index(drop=True)
    kept, notes = estimable(sets, terms)
    clusters, pairs = sets["cluster"].nunique(), sets["pair"].nunique()
    if min(clusters, len(sets)) <= len(kept) + pairs:
        kept, notes = [], dict.fromkeys(terms, "no more draws or sets than coefficients")
    found = regression(sets, kept, confidence) if kept else {}
    shown = {"group": group, "model": model, "measure": measure}
    numbers = {"n_rows": len(sets), "n_clusters": clusters}
    return [
        {**shown, "term": term, "per": TERMS[term], **found.get(term, NOTHING), **numbers, "note": notes.get(term)}
        for term in terms
    ]


def rows(settings: TableSettings, *, overlap_ablations: list[Path]) -> list[dict[str, Any]]:
    """One row a measure, model, group (all pairs, then each) and term; a note where the sets cannot tell a term."""
    cells = read_cells(overlap_ablations)
    result = []
    for measure in [one for one in UNITS if one in set(cells["measure"])]:
        sets = sets_of(cells, measure)
        pairs = list(sets["pair"].unique())
        groups = ({ALL: sets} if len(pairs) > 1 else {}) | {pair: sets[sets["pair"] == pair] for pair in pairs}
        for model in MODELS:
            for group, of_group in groups.items():
                result += _rows(group, model, measure, of_group, settings["tables.confidence"])
    return result
