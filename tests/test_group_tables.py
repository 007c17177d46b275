"""The tables of trained groups, of measures whose numbers are known by hand; the regression against closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from taskneurons.core.artifacts import write_frame
from taskneurons.figures import overlap_ablation as ablation_figure
from taskneurons.figures import proportion_sweep as sweep_figure
from taskneurons.report.findings.listed import findings
from taskneurons.tables import overlap_regression
from test_tables import cell, rows_of

KIND = "measures of trained groups"
CONFIG = {
    "groups": {"train": {"CLS": ["a", "b"], "GEN": ["c"]}, "test": {"CLS": ["d"], "GEN": ["e", "f"]}},
    "tables.bootstrap": 300,
}

# ---- proportion sweep ----

# task → proportion → scores of four examples; d is the same at all, e falls where nothing else changes
SWEEP = {
    "a": {0: [0, 0, 0, 0], 10: [1, 1, 0, 0], 50: [1, 1, 1, 1], 100: [1, 1, 1, 0]},
    "b": {0: [0, 0, 0, 0], 10: [1, 0, 0, 0], 50: [1, 1, 1, 1], 100: [0, 0, 0, 0]},
    "d": {0: [1, 1, 0, 0], 10: [1, 0, 0, 0], 50: [1, 1, 0, 0], 100: [1, 1, 1, 0]},
    "e": {0: [1, 1, 1, 1], 10: [1, 1, 1, 1], 50: [0, 0, 0, 0], 100: [0, 0, 0, 0]},
    "f": {0: [1, 1, 1, 1], 10: [1, 1, 1, 1], 50: [0, 0, 0, 0], 100: [0, 0, 0, 0]},
}


def sweep_file(path, group, seed, tasks=SWEEP, shift=0.0, measure="score"):
    rows = [
        {
            **{"kind": "union" if proportion else "none", "proportion": float(proportion), "n_neurons": 2 * proportion},
            **{"task": task, "measure": measure, "id": number, "seed": seed},
            **{"learning_rate": 1 / proportion if proportion else None, "at_edge": proportion == 50},
            "value": value + (shift if proportion else 0),
        }
        for task, found in tasks.items()
        for proportion, values in found.items()
        for number, value in enumerate(values)
    ]
    write_frame(path, pd.DataFrame(rows), KIND, {"group": group, "seed": seed})
    return path


@pytest.fixture
def sweep(tmp_path):
    """Two seeds, whose trained models' scores are 0.1 higher and lower; losses are 1 less the scores."""
    frames = []
    for seed, shift in ((0, 0.1), (1, -0.1)):
        scores = pd.read_parquet(sweep_file(tmp_path / f"{seed}.parquet", "CLS", seed, shift=shift))
        frames.append(pd.concat([scores, scores.assign(measure="loss", value=1 - scores["value"])]))
        write_frame(
            tmp_path / f"{seed}.parquet", frames[-1].reset_index(drop=True), KIND, {"group": "CLS", "seed": seed}
        )
    return [tmp_path / "0.parquet", tmp_path / "1.parquet"]


def test_proportion_sweep(sweep):
    rows = rows_of("proportion_sweep", {"proportion_sweeps": sweep}, config=CONFIG)
    both = "mean of ID-CLS and OOD-CLS"
    assert list(dict.fromkeys(row["curve"] for row in rows)) == ["ID-CLS", "OOD-CLS", "OOD-GEN", both]

    def curve(name, measure="score"):
        return [row for row in rows if row["curve"] == name and row["measure"] == measure]

    assert [row["value"] for row in curve("ID-CLS")] == pytest.approx([0, 37.5, 100, 37.5])
    assert [row["value"] for row in curve("OOD-CLS")] == pytest.approx([50, 25, 50, 75])
    assert [row["value"] for row in curve(both)] == pytest.approx([25, 31.25, 75, 56.25])
    assert [row["value"] for row in curve("OOD-GEN", "loss")] == pytest.approx([0, 0, 1, 1])
    assert [row["proportion_pct"] for row in curve(both)] == [0, 10, 50, 100]
    assert [row["learning_rate"] for row in curve(both)][1:] == [1 / 10, 1 / 50, 1 / 100]
    assert [row["rate_at_edge"] for row in curve(both)] == [False, False, True, False]
    assert [row["n_neurons"] for row in curve(both)] == [0, 20, 100, 200]
    assert [row["n_seeds"] for row in curve(both)] == [0, 2, 2, 2]
    assert {(row["n_tasks"], row["n_test"]) for row in curve(both)} == {(3, 12)}
    assert {(row["n_tasks"], row["n_test"]) for row in curve("OOD-GEN")} == {(2, 8)}
    # All examples agree that 50 % is the best in domain; the untrained model is no candidate.
    assert {(row["peak_pct"], row["peak_ci_low"], row["peak_ci_high"]) for row in curve("ID-CLS")} == {(50, 50, 50)}
    for measure in ("score", "loss"):
        assert {row["peak_pct"] for row in curve("OOD-GEN", measure)} == {10}
        # d's third example makes the difference between 50 and 100 %: it is missing in (3/4)⁴ of the replicates.
        (place,) = {(row["peak_pct"], row["peak_ci_low"], row["peak_ci_high"]) for row in curve("OOD-CLS", measure)}
        assert place[0] == 100 and place[1] < 100 == place[2]
    assert {row["paper_peak_pct"] for row in curve("ID-CLS")} == {70}
    assert {row["paper_peak_pct"] for row in curve("OOD-GEN")} == {None}
    assert cell(rows, curve="ID-CLS", measure="score", proportion_pct=50)["ci_low"] == pytest.approx(100)
    for low, high in zip(curve("ID-CLS"), curve("ID-CLS", "loss"), strict=True):
        assert low["value"] == pytest.approx(100 * (1 - high["value"]))
        assert low["ci_low"] == pytest.approx(100 * (1 - high["ci_high"]))


def test_a_sweeps_interval_is_that_of_means_of_tasks(tmp_path):
    """Two tasks of many examples: the interval's half width is 1.96 standard errors of the mean of both means."""
    rng = np.random.default_rng(0)
    tasks = {task: {0: rng.random(400), 10: rng.random(400) * scale} for task, scale in (("a", 1), ("b", 3))}
    tasks |= {task: {0: [0, 1], 10: [0, 1]} for task in "def"}
    path = sweep_file(tmp_path / "one.parquet", "CLS", 0, tasks)
    config = {**CONFIG, "tables.bootstrap": 4000}
    row = cell(
        rows_of("proportion_sweep", {"proportion_sweeps": [path]}, config=config), curve="ID-CLS", proportion_pct=10
    )
    error = np.sqrt(sum(tasks[task][10].var() / 400 for task in "ab")) / 2
    assert row["ci_high"] - row["value"] == pytest.approx(196 * error, rel=0.08)
    assert row["value"] - row["ci_low"] == pytest.approx(196 * error, rel=0.08)


def test_the_finding_of_the_sweep_follows_from_the_peaks(sweep, tmp_path):
    table = pd.DataFrame(rows_of("proportion_sweep", {"proportion_sweeps": sweep}, config=CONFIG))
    (text,) = findings({"proportion_sweep": table}, 80)
    assert "CLS tasks trained together" in text and "(trainings: 2)" in text
    assert "ID-CLS 100.0 (untrained 0.0) at 50 % [50, 50], better before the largest proportion tried" in text
    assert "the paper's peak, 70 %, is out of the interval; OOD-CLS 75.0 (untrained 50.0) at 100 %" in text
    assert "OOD-GEN 100.0 (untrained 100.0) at 10 % [10, 10], best at the smallest proportion tried;" in text
    table.loc[table["curve"] == "ID-CLS", ["peak_pct", "peak_ci_low", "peak_ci_high"]] = [100, 100, 100]
    assert "at 100 % [100, 100], still rising at the largest" in findings({"proportion_sweep": table}, 80)[0]
    table.loc[table["curve"] == "ID-CLS", "peak_ci_low"] = 50
    text = findings({"proportion_sweep": table}, 80)[0]
    assert "[50, 100], not shown to have its best before the largest proportion tried, or there" in text
    assert "the paper's peak, 70 %, is in the interval" in text
    losses = table[table["measure"] == "loss"]
    assert "where the loss is best" in findings({"proportion_sweep": losses}, 80)[0]


# ---- overlap ablation ----


def ablation_file(path, cells, pair="CLS-CLS", trained=10.0, measure="score"):
    """Cells: (kind, share, draw, {task: values}, columns), or (kind, share, draw, reason)."""
    rows = []
    for kind, share, draw, values, *columns in cells:
        named = {"kind": kind, "share": share, "draw": draw, "seed": 0, "n_neurons": 20}
        if isinstance(values, str):
            rows.append({**named, "reason": values, "task": "", "measure": "", "id": -1, "value": None})
            continue
        told = dict(zip(("overlap", "other", "jaccard", "mean_score"), columns, strict=False))
        for task, found in values.items():
            of_task = {**named, **told, "reason": "", "task": task, "measure": measure}
            rows += [{**of_task, "id": number, "value": value} for number, value in enumerate(found)]
    frame = pd.DataFrame(rows).astype({"share": float, "value": float})
    write_frame(path, frame, KIND, {"pair": pair, "trained": trained})
    return path


CELLS = [
    ("none", None, 0, {"d": [0, 0, 1, 0], "e": [0, 0]}),
    ("natural", None, 0, {"d": [1, 1, 1, 0], "e": [1, 0]}, 45.0, 5.0, 30.0, 3.0),
    ("controlled", 50.0, 0, {"d": [1, 1, 0, 0], "e": [1, 1]}, 50.0, 5.0, 33.0, 1.5),
    ("controlled", 50.0, 1, {"d": [1, 1, 1, 1], "e": [1, 1]}, 50.0, 7.0, 33.0, 1.7),
    ("controlled", 100.0, 0, "20 are needed"),
    ("controlled", 100.0, 1, "20 are needed"),
    ("other-kind", 50.0, 0, {"d": [0, 0, 0, 0], "e": [1, 1]}, 0.0, 50.0, 0.0, 1.0),
    ("other-kind", 50.0, 1, {"d": [1, 0, 0, 0], "e": [1, 1]}, 0.0, 50.0, 0.0, 1.0),
    ("score-matched", 50.0, 0, {"d": [0, 1, 0, 0], "e": [0, 0]}, 0.0, 9.0, 0.0, 1.5),
    ("score-matched", 50.0, 1, {"d": [0, 0, 1, 1], "e": [0, 0]}, 0.0, 9.0, 0.0, 1.6),
]


def test_overlap_ablation(tmp_path):
    path = ablation_file(tmp_path / "one.parquet", CELLS)
    rows = rows_of("overlap_ablation", {"overlap_ablations": [path]}, config=CONFIG)
    assert list(rows[0])[:5] == ["group", "trained_pct", "overlap_pct", "value", "overlap_kind"]
    kinds = ["zero-shot", "natural", "controlled", "controlled", "other-kind", "score-matched"]
    assert [row["overlap_kind"] for row in rows] == kinds
    zero, natural, drawn, impossible, other, matched = rows
    # The mean of d's and of e's mean: draws of 50 and 100, 100 and 100.
    assert (drawn["value"], drawn["sd_draws"], drawn["n_draws"]) == pytest.approx((87.5, np.sqrt(2) * 12.5, 2))
    assert (drawn["overlap_pct"], drawn["asked_pct"], drawn["jaccard_pct"]) == (50, 50, 33)
    assert (drawn["other_kind_pct"], drawn["mean_score"], drawn["n_neurons"]) == pytest.approx((6, 1.6, 20))
    assert (drawn["n_tasks"], drawn["n_test"], drawn["paper_llama"], drawn["reason"]) == (2, 6, 81.5, None)
    assert (zero["value"], zero["n_draws"], zero["asked_pct"], zero["paper_llama"]) == (12.5, 0, None, None)
    assert (natural["value"], natural["overlap_pct"], natural["paper_llama"]) == (62.5, 45, 80.7)
    assert natural["sd_draws"] is None and natural["draws_ci_low"] is None and natural["ci_low"] < 62.5
    assert (impossible["value"], impossible["asked_pct"], impossible["reason"]) == (None, 100, "20 are needed")
    assert (impossible["paper_llama"], impossible["n_draws"]) == (82.2, 0)
    assert (other["value"], other["controlled_less"]) == pytest.approx((56.25, 87.5 - 56.25))
    assert matched["controlled_less"] == pytest.approx(87.5 - 18.75)
    assert other["paper_llama"] is matched["paper_llama"] is drawn["controlled_less"] is None
    # e never varies, and is half of the mean; draw 0 of d is 0 to 1 within replicates: the draws differ besides.
    assert drawn["draws_ci_low"] < drawn["ci_low"] < drawn["value"] < drawn["ci_high"] <= drawn["draws_ci_high"] == 100
    assert not [row for row in rows if row["measure"] != "score"]


def test_draws_intervals_are_wider_by_the_draws_alone(tmp_path):
    """Examples that all agree: the interval over examples is a point, that over draws the spread of their means."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=40)
    cells = [("controlled", 50.0, draw, {"d": [value] * 3}, 1.0, 1.0, 1.0, 1.0) for draw, value in enumerate(values)]
    path = ablation_file(tmp_path / "one.parquet", cells, measure="loss")
    config = {**CONFIG, "tables.bootstrap": 4000}
    (row,) = rows_of("overlap_ablation", {"overlap_ablations": [path]}, config=config)
    assert row["ci_low"] == pytest.approx(values.mean()) == row["ci_high"]
    error = values.std() / np.sqrt(40)
    assert row["draws_ci_high"] - row["value"] == pytest.approx(1.96 * error, rel=0.08)


def test_figures_and_findings_of_the_ablation(tmp_path):
    paths = [ablation_file(tmp_path / f"{pair}.parquet", CELLS, pair) for pair in ("CLS-CLS", "GEN-CLS")]
    table = pd.DataFrame(rows_of("overlap_ablation", {"overlap_ablations": paths}, config=CONFIG))
    first, last = findings({"overlap_ablation": table}, 80)
    assert "better than other-kind sets in 2 of 2 cells and worse in 0; better than score-matched sets in 2" in first
    assert last == "Controlled cells of the overlap ablation: 2 made, 2 impossible (the table says why)."
    as_losses = table.assign(measure="loss")
    assert "other-kind sets in 0 of 2 cells and worse in 2" in findings({"overlap_ablation": as_losses}, 80)[0]
    figure = ablation_figure.draw(table)
    assert [axes.get_title() for axes in figure.axes] == ["CLS-CLS, top 10 %", "GEN-CLS, top 10 %"]
    with_bars = {bars.get_label() for bars in figure.axes[0].containers}
    assert with_bars == {"controlled", "other-kind", "score-matched", "natural (top-k sets)"}


def test_figure_of_the_sweep(sweep):
    table = pd.DataFrame(rows_of("proportion_sweep", {"proportion_sweeps": sweep}, config=CONFIG))
    alone = pd.DataFrame(
        {"task": ["A", "A"], "proportion_pct": [0.0, 10.0], "value": [1, 2], "ci_low": [0, 1], "ci_high": [2, 3]}
    )
    figure = sweep_figure.draw(alone, table)
    group, single = figure.axes
    assert (group.get_title(), single.get_title()) == ("CLS trained together", "single tasks trained alone")
    assert len(group.collections) == 4 and len(single.collections) == 1  # a band a curve


# ---- regression ----

TRUE = {"overlap": 2.0, "other kind": -0.5, "score": 3.0}


def simulated(seed=0, draws=12, noise=1.0, clustered=0.8, sizes=(20,)) -> pd.DataFrame:
    """Sets of three pairs, whose values follow TRUE and an intercept of the pair; noise has a part of the draw."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, pair in enumerate(("x", "y", "z")):
        for draw in range(draws):
            common = rng.normal()
            for kind in ("controlled", "other-kind", "score-matched"):
                for share in (10, 30, 50):
                    for size in sizes:
                        row = {
                            "overlap": share / 10 if kind == "controlled" else 0,
                            "other kind": share / 10 if kind == "other-kind" else rng.random(),
                            "score": share / 30 * (kind != "other-kind") + rng.random(),
                            "size": np.log2(size),
                        }
                        value = 10 * number + sum(TRUE[term] * row[term] for term in TRUE) + 1.5 * row["size"]
                        value += noise * (clustered * common + rng.normal())
                        rows.append({"pair": pair, "kind": kind, "cluster": f"{pair} {draw}", "value": value, **row})
    return pd.DataFrame(rows)


def test_known_coefficients_are_recovered():
    exact = overlap_regression.regression(simulated(noise=0, sizes=(20, 60)), [*TRUE, "size"], 95)
    for term, value in {**TRUE, "size": 1.5}.items():
        assert exact[term]["coefficient"] == pytest.approx(value, abs=1e-9)
    covered = [
        found[term]["ci_low"] <= TRUE[term] <= found[term]["ci_high"]
        for found in (overlap_regression.regression(simulated(seed, draws=20), list(TRUE), 95) for seed in range(60))
        for term in TRUE
    ]
    assert 0.89 <= np.mean(covered) <= 0.99


def test_standard_errors_are_the_sandwich_of_clusters():
    """V = c·(XᵀX)⁻¹ (Σ_g X_gᵀu_g u_gᵀX_g) (XᵀX)⁻¹, c = G/(G−1)·(N−1)/(N−K); t of G − 1 degrees of freedom."""
    sets, terms = simulated(3, draws=5), list(TRUE)
    design = np.column_stack([*(sets[term] for term in terms), *((sets["pair"] == pair) for pair in "xyz")]).astype(
        float
    )
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ sets["value"].to_numpy()
    residuals = sets["value"].to_numpy() - design @ beta
    meat = np.zeros((6, 6))
    for cluster in sets["cluster"].unique():
        of_cluster = (sets["cluster"] == cluster).to_numpy()
        part = design[of_cluster].T @ residuals[of_cluster]
        meat += np.outer(part, part)
    number, clusters = len(sets), 15
    scale = clusters / (clusters - 1) * (number - 1) / (number - 6)
    errors = np.sqrt(np.diag(scale * bread @ meat @ bread))
    found = overlap_regression.regression(sets, terms, 90)
    for place, term in enumerate(terms):
        row, t = found[term], beta[place] / errors[place]
        assert row["coefficient"] == pytest.approx(beta[place], rel=1e-10)
        assert row["se"] == pytest.approx(errors[place], rel=1e-10)
        assert row["p"] == pytest.approx(2 * stats.t.sf(abs(t), clusters - 1), rel=1e-8)
        half = stats.t.ppf(0.95, clusters - 1) * errors[place]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((beta[place] - half, beta[place] + half))


def test_terms_that_the_sets_cannot_tell_are_left_out_with_a_note():
    sets = simulated()
    kept, notes = overlap_regression.estimable(sets, ["overlap", "other kind", "score", "size"])
    assert (kept, notes) == (["overlap", "other kind", "score"], {"size": "the same in all sets of a pair"})
    sets["score"] = 2 * sets["overlap"] + 3
    assert overlap_regression.estimable(sets, ["overlap", "score"])[1] == {"score": "told by the other terms"}


def regression_file(path, pair, effect, draws=5):
    """Controlled sets gain `effect` points for ten points of overlap, but for the noise of two tasks' examples."""
    rng, cells = np.random.default_rng(len(pair)), []
    for draw in range(draws):
        for share in (10.0, 50.0):
            for kind, overlap, other in (
                ("controlled", share, 2.0),
                ("other-kind", 0.0, share),
                ("score-matched", 0.0, 4.0),
            ):
                score = 1 + share / 100 * (kind != "other-kind") + rng.random() / 10
                value = (effect * overlap / 10 + rng.normal() / 50) / 100
                cells.append((kind, share, draw, {"d": [value, value], "e": [value]}, overlap, other, 0.0, score))
    return ablation_file(path, [*CELLS[:2], *cells], pair)


def test_overlap_regression(tmp_path):
    paths = [regression_file(tmp_path / f"{pair}.parquet", pair, 3.0) for pair in ("CLS-CLS", "GEN-CLS")]
    rows = rows_of("overlap_regression", {"overlap_ablations": paths}, config=CONFIG)
    assert list(dict.fromkeys(row["group"] for row in rows)) == ["all pairs", "CLS-CLS", "GEN-CLS"]
    for group, pairs in (("all pairs", 2), ("CLS-CLS", 1)):
        alone = cell(rows, group=group, model="overlap alone", term="overlap")
        beside = cell(rows, group=group, model="with placebos", term="overlap")
        assert alone["coefficient"] == pytest.approx(3, abs=0.05) and beside["coefficient"] == pytest.approx(
            3, abs=0.05
        )
        assert (alone["n_rows"], alone["n_clusters"]) == (10 * pairs, 5 * pairs)
        assert (beside["n_rows"], beside["n_clusters"]) == (30 * pairs, 5 * pairs)
    size = cell(rows, group="all pairs", model="with placebos", term="size")
    assert (size["coefficient"], size["note"]) == (None, "the same in all sets of a pair")
    (text,) = findings({"overlap_regression": pd.DataFrame(rows)}, 80)
    assert text.startswith("That more overlap with the test tasks' neurons goes with better results shows, also beside")
    assert "on 5 to 10 draws" in text


@pytest.mark.parametrize(("effect", "claim"), [(-3.0, "does not show, by the score"), (0.0, "does not show")])
def test_a_claim_that_does_not_show_is_said_not_to(effect, claim, tmp_path):
    path = regression_file(tmp_path / "one.parquet", "CLS-CLS", effect)
    rows = rows_of("overlap_regression", {"overlap_ablations": [path]}, config=CONFIG)
    (text,) = findings({"overlap_regression": pd.DataFrame(rows)}, 80)
    assert claim in text and "all pairs" not in text


def test_as_many_draws_as_coefficients_are_too_few_for_a_regression(tmp_path):
    """Three terms and an intercept; overlap alone is one term and an intercept."""
    path = regression_file(tmp_path / "one.parquet", "CLS-CLS", 1.0, draws=4)
    rows = rows_of("overlap_regression", {"overlap_ablations": [path]}, config=CONFIG)
    told = {(row["model"], row["term"]): row["note"] for row in rows}
    assert told["overlap alone", "overlap"] is None
    assert {note for (model, _), note in told.items() if model == "with placebos"} == {
        "no more draws or sets than coefficients"
    }
    (text,) = findings({"overlap_regression": pd.DataFrame(rows)}, 80)
    assert "shows by overlap alone (there are too few sets to tell it from the placebos), by the score" in text
