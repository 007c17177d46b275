"""Continual learning's measures against hand-worked matrices, its tables and findings from small files made by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from conftest import ROOT
from taskneurons.core.artifacts import write_frame
from taskneurons.core.errors import UserError
from taskneurons.core.named import named
from taskneurons.figures import continual_learning as learning_figure
from taskneurons.report.findings.listed import findings
from taskneurons.tables import continual_metrics as metrics
from taskneurons.tables.continual_runs import MEAN, TestedStages, summary
from taskneurons.tables.intervals import resampled_examples
from test_tables import cell, rows_of

# ---- measures ----

MISSING = np.nan
MATRIX = np.array([[0.6, 0.8, 0.5], [MISSING, 0.9, 0.6], [MISSING, MISSING, 0.7]])
ALONE = np.array([0.8, 0.75, 0.5])
BEFORE, UNTRAINED = np.array([0.1, 0.4, 0.5]), np.array([0.3, 0.2, 0.6])


def test_measures_by_hand():
    assert metrics.average_accuracy(MATRIX) == pytest.approx((0.5 + 0.6 + 0.7) / 3)
    assert metrics.own_accuracies(MATRIX) == pytest.approx([0.6, 0.9, 0.7])
    assert metrics.seen_accuracies(MATRIX) == pytest.approx([0.6, 0.85, 0.6])
    # Task 1 was best after stage 2, with 0.8, so that more is forgotten than by its own stage's 0.6.
    assert metrics.forgetting(MATRIX) == pytest.approx((0.8 - 0.5 + 0.9 - 0.6) / 2)
    assert metrics.backward_transfer(MATRIX) == pytest.approx((0.5 - 0.6 + 0.6 - 0.9) / 2)
    assert metrics.forward_transfer(BEFORE, UNTRAINED) == pytest.approx((0.4 - 0.2 + 0.5 - 0.6) / 2)
    kept = metrics.retention(MATRIX, ALONE)
    assert np.isnan(kept[0]) and kept[1:] == pytest.approx([100, 100 * (0.625 + 0.8) / 2])
    own = metrics.retention(MATRIX, metrics.own_accuracies(MATRIX))
    assert own[1:] == pytest.approx([400 / 3, 75])


def test_measures_of_every_replicate_are_its_own():
    """Of two matrices at once, along two leading axes: what each has by itself."""
    both = np.stack([[MATRIX, MATRIX / 2]])
    of_two = (ALONE, np.array([ALONE, ALONE / 4]))
    for measure in (metrics.average_accuracy, metrics.forgetting, metrics.backward_transfer, metrics.seen_accuracies):
        assert measure(both)[0, 1] == pytest.approx(measure(MATRIX) / 2)
        assert measure(both)[0, 0] == pytest.approx(measure(MATRIX))
    assert metrics.retention(both, of_two[1])[0, 1, 1:] == pytest.approx(2 * metrics.retention(MATRIX, ALONE)[1:])
    before = np.stack([BEFORE, BEFORE + 0.2])
    assert metrics.forward_transfer(before, UNTRAINED) == pytest.approx([0.05, 0.25])


def test_what_is_not_defined_is_missing():
    one = np.array([[0.5]])
    assert metrics.average_accuracy(one) == 0.5
    nothing = [metrics.forgetting(one), metrics.backward_transfer(one), *metrics.retention(one, np.array([0.5]))]
    assert np.isnan(nothing).all()
    assert np.isnan(metrics.forward_transfer(np.array([0.5]), np.array([0.2])))
    joint = np.full((3, 3), MISSING)
    joint[:, 2] = [0.5, 0.6, 0.7]
    assert metrics.average_accuracy(joint) == pytest.approx(0.6)
    assert np.isnan([metrics.forgetting(joint), metrics.backward_transfer(joint)]).all()
    assert metrics.retention(joint, ALONE)[2] == pytest.approx(71.25)
    assert np.isnan(metrics.retention(joint, metrics.own_accuracies(joint))).all()
    assert np.isnan(metrics.retention(MATRIX, np.array([0.0, 1, 1]))).all()  # no share of nothing


def test_weights_and_seeds_against_loops():
    rng = np.random.default_rng(3)
    values = rng.random(7)
    chosen = resampled_examples("a", 7, 20)
    expected = [np.mean([values[number] for number in row]) for row in chosen]
    assert metrics.replicate_weights("a", 7, 20) @ values == pytest.approx(expected)
    of_seeds = rng.random((3, 5000, 2))
    found = metrics.over_seeds(of_seeds)
    assert found[0] == pytest.approx(of_seeds[:, 0].mean(axis=0))
    # Every other one is a mean of three of the replicate's seeds; a seed is in it (once or more) with 1 − (2/3)³.
    sets = [np.array(np.meshgrid(*[of_seeds[:, place, 0]] * 3)).reshape(3, -1).mean(axis=0) for place in (1, 7, 300)]
    assert all(np.isclose(of, found[place, 0]).any() for of, place in zip(sets, (1, 7, 300), strict=True))
    constant = np.broadcast_to(np.array([[1.0], [0.0], [0.0]]), (3, 5000))
    assert (metrics.over_seeds(constant)[1:] > 0).mean() == pytest.approx(1 - (2 / 3) ** 3, abs=0.03)
    assert metrics.over_seeds(of_seeds[:1]) == pytest.approx(of_seeds[0])


# ---- files ----

TASKS = {key: {"name": key.upper()} for key in "abc"}
ORDERS = {"1": ["a", "b"], "2": ["b", "a"]}
CONFIG = {"continual.benchmarks": {"standard": ORDERS, "large": {"4": ["a", "b", "c"]}}, "tables.bootstrap": 300}
RIGHT = 8  # of so many examples


def measured(task, right, when="after", measure="label", routed=""):
    """The rows of a task of which the first so many examples are right; or of all values."""
    values = [1.0] * right + [0.0] * (RIGHT - right) if isinstance(right, int) else right
    routes = [routed] * len(values) if isinstance(routed, str) else routed
    named_rows = {"task": task, "when": when, "measure": measure}
    return [
        {**named_rows, "id": number, "value": float(value), "routed": route}
        for number, (value, route) in enumerate(zip(values, routes, strict=True))
    ]


def plain_text(loss, when="after"):
    return measured("", [loss, loss + 1], when, "general")


def stage_file(folder, method, sequence, rows, seed=0, **told):
    made = {"needs_task_id": False, "keeps_examples": False, "learning_rate": 0.01, "knob": None}
    path = folder / "tested" / method / f"{'.'.join(sequence) or 'zero'}-seed{seed}.parquet"
    made |= {"method": method, "sequence": list(sequence), "seed": seed, **told}
    rows = sorted(rows, key=lambda row: -row["id"])  # the order of the rows tells nothing
    write_frame(path, pd.DataFrame(rows), "tested stage", made)
    return path


LEARNT_ALONE = ("Per-Task FT", "Dynamic NCFT")  # each task is learnt from the base model, once for all sequences


def cost_file(folder, method, sequence, kept, seconds=1.0, memory=10.0, seed=0):
    row = {"seconds": seconds, "peak_memory_mib": memory, "trained_parameters": 100, "kept_bytes": kept}
    path = folder / "costs" / method / f"{'.'.join(sequence)}-seed{seed}.parquet"
    made = {"method": method, "sequence": list(sequence), "seed": seed}
    made["learns"] = "alone" if method in LEARNT_ALONE else "in sequence"
    write_frame(path, pd.DataFrame([row]), "stage costs", made)
    return path


# method → sequence so far → task → how many are right after it; "before" of the last task
STAGES = {
    "NCFT": {
        "a": ({"a": 6}, 1),
        "a.b": ({"a": 4, "b": 8}, 3),
        "a.b.c": ({"a": 2, "b": 6, "c": 4}, 2),
        "b": ({"b": 8}, 2),
        "b.a": ({"b": 6, "a": 8}, 1),
    },
    "SeqFT": {"a": ({"a": 6}, 1), "a.b": ({"a": 2, "b": 8}, 2), "b": ({"b": 6}, 2), "b.a": ({"b": 2, "a": 6}, 1)},
    "W-NCFT": {"a": ({"a": 8}, 1), "a.b": ({"a": 6, "b": 8}, 2), "b": ({"b": 8}, 2), "b.a": ({"b": 8, "a": 8}, 1)},
    "O-LoRA": {"a": ({"a": 6}, 1), "a.b": ({"a": 5, "b": 7}, 2)},  # on the first order alone
    "Per-Task FT": {
        "a": ({"a": 8}, None),
        "a.b": ({"a": 8, "b": 6}, None),
        "a.b.c": ({"a": 8, "b": 6, "c": 4}, None),
    },
    "Joint": {"a.b": ({"a": 8, "b": 7}, None), "b.a": ({"a": 8, "b": 7}, None)},
    "Dynamic NCFT": {
        "a": ({"a": 6}, 1),
        "a.b": ({"a": 5, "b": 8}, 2),
        "b": ({"b": 8}, 2),
        "b.a": ({"b": 7, "a": 8}, 1),
    },
}
TOLD = {
    "W-NCFT": {"needs_task_id": True, "knob": 0.5},
    "Per-Task FT": {"needs_task_id": True},
    "Joint": {"keeps_examples": True},
}
KEPT = {"W-NCFT": 2000, "Per-Task FT": 10**6, "Dynamic NCFT": 2000}


@pytest.fixture
def files(tmp_path):
    """Zero-shot has 1, 2 and 3 of 8 right, and a loss of 2.5 on plain text, which grows by 0.1 a stage."""
    rows = [row for number, task in enumerate("abc", 1) for row in measured(task, number, "before")]
    rows += measured("b", 4, "before", "exact_match") + measured("a", 4, "before", "exact_match")
    untrained = stage_file(tmp_path, "zero-shot", [], [*rows, *plain_text(2.0, "before")])
    found = {"continual_tests": [untrained], "continual_costs": []}
    for method, stages in STAGES.items():
        for begun, (right, before) in stages.items():
            sequence = begun.split(".")
            routed = {"a": ["a"] * 6 + ["b"] * 2, "b": "b"} if method == "Dynamic NCFT" else {}
            rows = [
                row for task, number in right.items() for row in measured(task, number, routed=routed.get(task, ""))
            ]
            if before is not None:
                rows += measured(sequence[-1], before, "before")
            if method == "NCFT" and begun == "a.b":  # the last stage alone is tested by it
                rows += measured("a", 3, measure="exact_match") + measured("b", 5, measure="exact_match")
            rows += plain_text(2.0 + 0.1 * len(sequence))
            found["continual_tests"].append(stage_file(tmp_path, method, sequence, rows, **TOLD.get(method, {})))
            learnt = sequence[-1:] if method in LEARNT_ALONE else sequence
            costs = cost_file(tmp_path, method, learnt, KEPT.get(method, 0), len(sequence), 10 * len(sequence))
            found["continual_costs"].append(costs)
    return found


def table(name, files, config=None):
    return pd.DataFrame(rows_of(name, files, TASKS, {**CONFIG, **(config or {})}))


def one(frame, **key):
    return cell(frame.to_dict("records"), **key)


# ---- tables ----


def test_continual_learning(files):
    found = table("continual_learning", files)
    assert list(found)[:7] == ["method", "benchmark", "order", "value", "ci_low", "ci_high", "measure"]
    label = found[found["measure"] == "label"]
    methods = ["zero-shot", "SeqFT", "O-LoRA", "NCFT", "W-NCFT", "Per-Task FT", "Joint", "Dynamic NCFT"]
    assert label.query("benchmark == 'standard' and order == '1'")["method"].tolist() == methods
    assert label[label["benchmark"] == "large"]["method"].tolist() == ["zero-shot", "NCFT", "Per-Task FT"]
    assert label[label["benchmark"] == "standard"]["order"].unique().tolist() == [MEAN, "1", "2"]
    ncft = one(label, method="NCFT", benchmark="standard", order="1")
    numbers = {"value": 75, "bwt": -25, "forgetting": 25, "fwt": 12.5, "general": 0.2, "vs_w_ncft": -12.5}
    numbers |= {"vs_dynamic_ncft": -6.25, "paper_llama": 71.3, "n_test": 16, "n_tasks": 2, "n_seeds": 1, "n_orders": 1}
    numbers |= {"bytes_per_task": 0, "seconds_per_stage": 1.5, "peak_memory_mib": 20, "trained_parameters": 100}
    assert {name: ncft[name] for name in numbers} == pytest.approx(numbers)
    assert (ncft["sequence"], ncft["learning_rate"], ncft["needs_task_id"]) == ("A → B", 0.01, False)
    assert np.isnan(ncft["vs_ncft"]) and ncft["ci_low"] < 75 < ncft["ci_high"]
    # All plain text has changed alike.
    assert (ncft["general_ci_low"], ncft["general_ci_high"]) == pytest.approx((0.2, 0.2))
    longer = one(label, method="NCFT", benchmark="large")
    numbers = {"value": 50, "bwt": -37.5, "forgetting": 37.5, "fwt": 0, "general": 0.3, "paper_llama": 70.5}
    assert {name: longer[name] for name in numbers} == pytest.approx(numbers)
    assert (longer["sequence"], longer["n_test"], longer["seconds_per_stage"]) == ("A → B → C", 24, 2)
    weighted = one(label, method="W-NCFT", benchmark="standard", order="2")
    assert (weighted["value"], weighted["vs_ncft"], weighted["bytes_per_task"]) == (100, 12.5, 2000)
    assert weighted["needs_task_id"] and weighted["knob"] == 0.5


def test_a_mean_over_orders_is_of_those_that_a_method_has(files):
    found = table("continual_learning", files)
    means = found[(found["order"] == MEAN) & (found["measure"] == "label")].set_index("method")
    ncft = means.loc["NCFT"]
    assert (ncft["value"], ncft["n_orders"], ncft["bwt"]) == pytest.approx((81.25, 2, -25))
    assert ncft["paper_llama"] == pytest.approx((71.3 + 70.9) / 2) and pd.isna(ncft["sequence"])
    olora = means.loc["O-LoRA"]
    # Beside NCFT on the order that both have.
    assert (olora["value"], olora["n_orders"], olora["vs_ncft"]) == pytest.approx((75, 1, 0))
    assert summary(found)["benchmark"].unique().tolist() == ["standard", "large"]
    assert set(summary(found)["order"]) == {MEAN, "4"}


def test_what_a_method_does_not_have_is_missing(files):
    found = table("continual_learning", files)
    joint = one(found, method="Joint", benchmark="standard", order="1", measure="label")
    assert joint["value"] == 93.75 and joint["keeps_examples"] and joint["seconds_per_stage"] == 2
    assert np.isnan([joint[name] for name in ("bwt", "forgetting", "fwt", "bwt_ci_low", "forgetting_ci_high")]).all()
    alone = one(found, method="Per-Task FT", benchmark="standard", order="1", measure="label")
    assert (alone["bwt"], alone["forgetting"]) == (0, 0) and np.isnan(alone["fwt"])
    untrained = one(found, method="zero-shot", benchmark="standard", order="2", measure="label")
    assert (untrained["value"], untrained["n_seeds"], untrained["vs_ncft"]) == (18.75, 0, -68.75)
    assert np.isnan([untrained[name] for name in ("bwt", "general", "bytes_per_task", "learning_rate")]).all()
    exact = found[found["measure"] == "exact_match"]
    assert set(zip(exact["method"], exact["order"], strict=True)) == {
        *(("zero-shot", order) for order in (MEAN, "1", "2")),
        *(("NCFT", order) for order in (MEAN, "1")),
    }
    row = one(exact, method="NCFT", order="1")
    assert (row["value"], row["vs_w_ncft"]) == pytest.approx((50, np.nan), nan_ok=True) and np.isnan(row["bwt"])
    none = files["continual_tests"]
    without = [path for path in none if path.parent.name != "NCFT"]
    assert table("continual_learning", {**files, "continual_tests": without})["vs_ncft"].isna().all()


def test_stages(files):
    found = table("continual_stages", files)
    ncft = found[(found["method"] == "NCFT") & (found["benchmark"] == "large")]
    assert ncft["task"].tolist() == ["A", "B", "C"] and ncft["stage"].tolist() == [1, 2, 3]
    # A of a, b, c is 8, 6 and 4 of 8: 4/8; then 2/8 and 6/6.
    assert ncft["fg"].tolist() == pytest.approx([np.nan, 50, 62.5], nan_ok=True)
    assert ncft["fg_own"].tolist() == pytest.approx([np.nan, 200 / 3, 100 * (2 / 6 + 6 / 8) / 2], nan_ok=True)
    assert ncft["accuracy_seen"].tolist() == pytest.approx([75, 75, 50])
    assert ncft["loss"].tolist() == pytest.approx([2.6, 2.7, 2.8])
    assert ncft["general"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    # Per-Task FT has learnt a before b alone; a and b alone are as well learnt in the other order.
    other = one(found, method="NCFT", benchmark="standard", order="2", stage=2)
    assert other["fg"] == pytest.approx(100 * 6 / 6)
    mean = one(found, method="NCFT", benchmark="standard", order=MEAN, stage=2)
    assert (mean["fg"], mean["n_orders"]) == (75, 2) and pd.isna(mean["task"])
    joint = found[(found["method"] == "Joint") & (found["order"] == "1")].set_index("stage")
    assert np.isnan(joint.loc[1, "fg"]) and joint.loc[2, "fg"] == 100 and joint["fg_own"].isna().all()
    without = [path for path in files["continual_tests"] if path.parent.name != "Per-Task FT"]
    rest = table("continual_stages", {"continual_tests": without})
    assert rest["fg"].isna().all() and one(rest, method="NCFT", order="4", stage=3)["fg_own"] == pytest.approx(54.1667)


def test_accuracy_matrix(files):
    found = table("accuracy_matrix", files)
    ncft = found[(found["method"] == "NCFT") & (found["order"] == "4") & (found["measure"] == "label")]
    cells = {(row.task, row.stage, row.when): row.value for row in ncft.itertuples()}
    after = {("A", 1): 75, ("A", 2): 50, ("B", 2): 100, ("A", 3): 25, ("B", 3): 75, ("C", 3): 50}
    expected = {(*key, "after"): value for key, value in after.items()}
    expected |= {("A", 1, "before"): 12.5, ("B", 2, "before"): 37.5, ("C", 3, "before"): 25}
    assert cells == expected and ncft["routed_right_pct"].isna().all()
    assert found[found["method"] == "Joint"]["stage"].unique().tolist() == [2]
    routed = found[(found["method"] == "Dynamic NCFT") & (found["stage"] == 2) & (found["when"] == "after")]
    assert routed[routed["task"] == "A"]["routed_right_pct"].tolist() == [75, 75]
    assert routed[routed["task"] == "B"]["routed_right_pct"].tolist() == [100, 100]
    exact = found[found["measure"] == "exact_match"]
    assert set(zip(exact["method"], exact["stage"], exact["value"], strict=True)) == {
        ("NCFT", 2, 37.5),
        ("NCFT", 2, 62.5),
    }
    (interval,) = {(row.ci_low <= row.value <= row.ci_high, row.n_test, row.n_seeds) for row in ncft.itertuples()}
    assert interval == (True, 8, 1)


def test_seeds_and_examples_are_resampled_as_by_hand(tmp_path):
    """Two seeds, two tasks and two methods: the replicates of every number in plain loops."""
    rng = np.random.default_rng(5)
    values = {  # method → seed → stage → task → values
        method: [[{"a": rng.integers(2, size=6)}, {task: rng.integers(2, size=6) for task in "ab"}] for _ in range(2)]
        for method in ("NCFT", "SeqFT")
    }
    untrained = [*measured("a", [0] * 6, "before"), *measured("b", [0] * 6, "before"), *plain_text(2.0, "before")]
    paths = [stage_file(tmp_path, "zero-shot", [], untrained)]
    costs = []
    for method, seeds in values.items():
        for seed, stages in enumerate(seeds):
            for number, of_tasks in enumerate(stages, 1):
                rows = [row for task, found in of_tasks.items() for row in measured(task, found)]
                paths.append(stage_file(tmp_path, method, "ab"[:number], rows, seed))
                costs.append(cost_file(tmp_path, method, "ab"[:number], 0, seed=seed))
    config = {"continual.benchmarks": {"own": {"x": ["a", "b"]}}, "tables.bootstrap": 40}
    row = one(table("continual_learning", {"continual_tests": paths, "continual_costs": costs}, config), method="SeqFT")
    assert (row["n_seeds"], row["paper_llama"]) == (2, pytest.approx(np.nan, nan_ok=True))
    examples = {task: resampled_examples(task, 6, 40) for task in "ab"}
    seeds = np.random.default_rng(0).integers(2, size=(2, 41))  # replicate → its seeds
    seeds[:, 0] = [0, 1]

    def accuracy(method, seed, stage, task, replicate):
        return np.mean([values[method][seed][stage][task][number] for number in examples[task][replicate]])

    found = {"value": [], "bwt": [], "vs_ncft": []}
    for replicate in range(41):
        last = {
            method: np.mean(
                [[accuracy(method, seed, 1, task, replicate) for task in "ab"] for seed in seeds[:, replicate]]
            )
            for method in values
        }
        first = np.mean([accuracy("SeqFT", seed, 0, "a", replicate) for seed in seeds[:, replicate]])
        end = np.mean([accuracy("SeqFT", seed, 1, "a", replicate) for seed in seeds[:, replicate]])
        found["value"].append(100 * last["SeqFT"])
        found["bwt"].append(100 * (end - first))
        found["vs_ncft"].append(100 * (last["SeqFT"] - last["NCFT"]))
    for name, (value, *replicates) in found.items():
        low, high = np.percentile(replicates, [2.5, 97.5])
        prefix = "" if name == "value" else f"{name}_"
        assert (row[name], row[f"{prefix}ci_low"], row[f"{prefix}ci_high"]) == pytest.approx((value, low, high))


def test_an_interval_is_that_of_the_mean_of_means(tmp_path):
    """Two tasks of many examples: the half width is 1.96 standard errors; a difference of two alike has none."""
    rng = np.random.default_rng(0)
    values = {"a": rng.random(400), "b": 3 * rng.random(100)}
    rows = [row for task, found in values.items() for row in measured(task, found)]
    untrained = [{**row, "when": "before"} for row in rows]
    paths = [stage_file(tmp_path, "zero-shot", [], untrained)]
    paths += [stage_file(tmp_path, method, "ab", rows) for method in ("NCFT", "SeqFT")]
    costs = [cost_file(tmp_path, method, "ab", 0) for method in ("NCFT", "SeqFT")]
    config = {"continual.benchmarks": {"own": {"x": ["a", "b"]}}, "tables.bootstrap": 4000}
    row = one(table("continual_learning", {"continual_tests": paths, "continual_costs": costs}, config), method="SeqFT")
    error = np.sqrt(values["a"].var() / 400 + values["b"].var() / 100) / 2
    assert row["ci_high"] - row["value"] == pytest.approx(196 * error, rel=0.08)
    assert row["value"] - row["ci_low"] == pytest.approx(196 * error, rel=0.08)
    assert (row["vs_ncft"], row["vs_ncft_ci_low"], row["vs_ncft_ci_high"]) == (0, 0, 0)


def test_other_examples_and_no_untrained_model_are_told(files, tmp_path):
    with pytest.raises(UserError, match="none of 2 tested stages is of the untrained model"):
        TestedStages(files["continual_tests"][1:3], 5)
    wrong = [{**row, "id": row["id"] + 1} for row in measured("a", 3)]
    path = stage_file(tmp_path / "other", "EWC", "a", wrong)
    with pytest.raises(UserError, match="has not the same 8 test examples of 'a' by label"):
        TestedStages([*files["continual_tests"], path], 5)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_untrained_models_plain_text(when, tmp_path):
    """It is neither before nor after a stage."""
    path = stage_file(tmp_path, "zero-shot", [], [*measured("a", 1, "before"), *plain_text(2.0, when)])
    assert TestedStages([path], 5).untrained_plain_text()[0] == 2.5
    path = stage_file(tmp_path, "zero-shot", [], measured("a", 1, "before"))
    assert np.isnan(TestedStages([path], 5).untrained_plain_text()).all()


def test_the_published_figures_are_complete():
    figures = pd.read_csv(ROOT / "workflow" / "published" / "continual_learning.csv")
    assert list(figures) == ["method", "benchmark", "order", "value"] and len(figures) == 7 * 6
    assert not figures.duplicated(["method", "benchmark", "order"]).any()
    # Means that the text compares: O-LoRA is ahead on standard, W-NCFT by 0.4 on large.
    means = figures.groupby(["method", "benchmark"])["value"].mean().round(1)
    assert means["O-LoRA", "standard"] > means["W-NCFT", "standard"]
    assert means["W-NCFT", "large"] - means["O-LoRA", "large"] == pytest.approx(0.4)


# ---- tuning ----


def tuning_file(folder, method, configurations, chosen, at_edge, knob_name=None):
    rows = [
        {"learning_rate": rate, "knob": knob, "accuracy": accuracy, "standard_error": 0.02}
        for rate, knob, accuracy in configurations
    ]
    frame = pd.DataFrame(rows)
    frame["chosen"] = [number == chosen for number in range(len(rows))]
    frame["at_edge"] = frame["chosen"] & at_edge
    path = folder / f"{method}.parquet"
    write_frame(path, frame, "continual tuning", {"method": method, "tasks": ["b", "a"], "knob_name": knob_name})
    return path


def test_continual_tuning(tmp_path):
    knobs = [(0.1, 2.0, 0.5), (0.01, 2.0, 0.75), (0.01, 1.0, 0.6)]
    paths = [
        tuning_file(tmp_path, "EWC", knobs, 1, False, "penalty"),
        tuning_file(tmp_path, "SeqFT", [(0.1, np.nan, 0.5), (1.0, np.nan, 0.75)], 1, True),
    ]
    found = table("continual_tuning", {"continual_tunings": paths})
    assert found["method"].tolist() == ["SeqFT"] * 2 + ["EWC"] * 3
    ewc = found[found["method"] == "EWC"]
    assert ewc[["learning_rate", "knob", "accuracy"]].to_numpy().tolist() == [
        [0.01, 1, 60],
        [0.01, 2, 75],
        [0.1, 2, 50],
    ]
    assert ewc["chosen"].tolist() == [False, True, False] and set(ewc["knob_name"]) == {"penalty"}
    assert set(found["tasks"]) == {"B → A"} and set(found["standard_error"]) == {2}
    (text,) = findings({"continual_tuning": found}, 80)
    assert "two tasks (B → A): SeqFT 1, EWC 0.01. At an end of their grid" in text and "lie beyond: SeqFT." in text
    (text,) = findings({"continual_tuning": found.assign(at_edge=False)}, 80)
    assert "lie beyond: none." in text


# ---- figures ----


@pytest.fixture(autouse=True)
def no_figure_left():
    yield
    plt.close("all")


def test_figure_of_continual_learning(files):
    figure = learning_figure.draw(table("continual_learning", files))
    left, right, *_ = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names[:3] == ["zero-shot  1", "SeqFT  2", "O-LoRA  3"] and len(names) == 8
    points = {line.get_ydata()[0]: line for line in left.lines if line.get_marker() in "so"}
    assert points[3].get_xdata()[0] == pytest.approx(81.25)  # NCFT
    assert to_hex(points[3].get_color()) == learning_figure.WITHOUT_ID
    assert to_hex(points[4].get_color()) == learning_figure.NEEDS_ID and points[6].get_marker() == "s"
    crosses = {line.get_ydata()[0]: line.get_xdata()[0] for line in left.lines if line.get_marker() == "x"}
    assert crosses[3] == pytest.approx(71.1) and np.isnan(crosses[0])
    numbers = {text.get_text(): text.xy for text in right.texts}
    assert set(numbers) == set("2345678")  # zero-shot keeps nothing that would be known
    assert numbers["5"] == pytest.approx((np.log10(2000), 93.75)) and numbers["6"][0] == 6
    band = right.patches[0].get_extents().transformed(right.transData.inverted())
    assert all(band.x0 < numbers[number][0] < band.x1 for number in "2347")
    assert [label.get_text() for label in right.get_xticklabels()] == ["0", "1 kB", "1 MB"]
    # Nothing is kept by any method.
    learning_figure.draw(table("continual_learning", files).assign(bytes_per_task=0.0))


def test_figures_of_stages_and_of_the_matrix(files):
    found = table("continual_stages", files)
    standard, large = named("figures", "continual_stages").draw(found).axes
    lines = {bars.get_label(): bars.lines[0].get_ydata() for bars in large.containers}
    assert set(lines) == {"NCFT", "Per-Task FT"} and lines["NCFT"] == pytest.approx([50, 62.5])
    assert {bars.get_label() for bars in standard.containers} == set(STAGES)
    figure = named("figures", "accuracy_matrix").draw(table("accuracy_matrix", files))
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert len(panels) == 9 and "standard: O-LoRA" in panels
    shown = {text.get_position(): text.get_text() for text in panels["large: NCFT"].texts}
    assert shown == {(0, 0): "75", (1, 0): "50", (1, 1): "100", (2, 0): "25", (2, 1): "75", (2, 2): "50"}


# ---- findings ----

NUMBERS = {"value": 70.0, "vs_ncft": 0.0, "vs_w_ncft": 0.0, "vs_dynamic_ncft": 0.0, "forgetting": 5.0}


def made_up(method, order=MEAN, benchmark="standard", half=1.0, paper=np.nan, **numbers):
    """A row whose intervals reach as far to both sides."""
    row = {"method": method, "benchmark": benchmark, "order": order, "measure": "label", "paper_llama": paper}
    row |= {"n_seeds": 1, "n_orders": 3, "n_tasks": 4, "needs_task_id": method in ("W-NCFT", "Per-Task FT", "X")}
    row |= {"learning_rate": 1e-4}
    for name, value in {**NUMBERS, **numbers}.items():
        prefix = "" if name == "value" else f"{name}_"
        row |= {name: value, f"{prefix}ci_low": value - half, f"{prefix}ci_high": value + half}
    return row


def told_of(*rows):
    return findings({"continual_learning": pd.DataFrame(rows)}, 80)


def test_findings_of_rankings():
    told = told_of(
        made_up("zero-shot", value=20.0),
        made_up("SeqFT", value=68.0, vs_ncft=-3.0, paper=47.1),
        made_up("SeqLoRA", vs_ncft=0.5),
        made_up("EPI", vs_ncft=2.0),
        made_up("O-LoRA", vs_w_ncft=2.0, paper=76.0),
        made_up("NCFT"),
        made_up("W-NCFT", value=72.0, vs_ncft=1.0, paper=73.2),
        made_up("W-NCFT", "1", vs_ncft=2.0),
        made_up("W-NCFT", "2", vs_ncft=0.5),
    )
    head, sequential, above, weighted, olora = told
    assert "standard 3 orders of 4 tasks" in head and "one seed, whose chance" in head
    assert sequential.startswith(
        "On standard, SeqFT at the learning rate chosen for it (0.0001) ends at 68.0 [67.0, 69.0]"
    )
    assert "at 47.1) and forgets 5.0 [4.0, 6.0]; beside it zero-shot 20.0 [19.0, 21.0]." in sequential
    assert "here it is +3.0 [+2.0, +4.0] beside SeqFT (holds), -0.5 [-1.5, +0.5] beside SeqLoRA (is not shown)" in above
    assert "-2.0 [-3.0, -1.0] beside EPI (is the other way round)." in above
    assert "which is not shown (above on 1 of 2, below on 0): order 1 +2.0 [+1.0, +3.0], order 2 +0.5" in weighted
    assert "has O-LoRA +2.8 beside W-NCFT; here it is +2.0 [+1.0, +3.0], so that its sign holds." in olora


@pytest.mark.parametrize(
    ("changes", "claim"),
    [((2.0, 3.0), "holds (above on 2"), ((2.0, -3.0), "does not hold (above on 1 of 2, below on 1)")],
)
def test_weighting_holds_on_every_order_or_does_not(changes, claim):
    rows = [made_up("W-NCFT", str(order), vs_ncft=change) for order, change in enumerate(changes)]
    told = told_of(made_up("NCFT"), made_up("W-NCFT"), made_up("W-NCFT-delta", vs_ncft=4.0), *rows)
    assert f"on every order, which {claim}" in told[1]
    assert "(W-NCFT-delta) +4.0 [+3.0, +5.0]." in told[1]


@pytest.mark.parametrize(
    ("here", "paper", "claim"),
    [
        (-2.0, (71.6, 72.0), "so that its sign holds"),
        (2.0, (71.6, 72.0), "so that its sign is the other way round"),
        (0.5, (76.0, 73.2), "so that its sign is not shown"),
        (2.0, (np.nan, np.nan), "above it (the paper has no own)"),
    ],
)
def test_olora_beside_the_papers_sign(here, paper, claim):
    told = told_of(
        made_up("O-LoRA", benchmark="own", vs_w_ncft=here, paper=paper[0]),
        made_up("W-NCFT", benchmark="own", paper=paper[1]),
    )
    assert claim in told[-1]


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        (-3.0, "+3.0 [+2.0, +4.0] beside as many random neurons: a task's own neurons are better."),
        (3.0, "random ones are better."),
        (0.0, "0.0 [-1.0, +1.0] beside as many random neurons: which neurons are trained is not shown to matter."),
    ],
)
def test_random_neurons(change, claim):
    assert claim in told_of(made_up("NCFT"), made_up("NCFT-random", vs_ncft=change))[-1]


def test_dynamic_beside_those_that_are_told_the_task():
    """The best of all that are told it, and the best but Per-Task FT, which is a model a task."""
    rows = [
        made_up("NCFT", value=99.0),
        made_up("W-NCFT", value=71.0, vs_dynamic_ncft=-2.0),
        made_up("Per-Task FT", value=80.0, vs_dynamic_ncft=7.0),
        made_up("X", value=72.0, vs_dynamic_ncft=-0.5),
        made_up("Dynamic NCFT", value=73.0),
        made_up("Routed LoRA", vs_dynamic_ncft=-3.0),
    ]
    told = told_of(*rows)[-1]
    assert (
        "which is not told the task, ends at 73.0 [72.0, 74.0]; beside it Per-Task FT +7.0 [+6.0, +8.0], above it, X"
        in told
    )
    assert "X -0.5 [-1.5, +0.5], not shown to be above or below it (told the task, and the best by these" in told
    assert told.endswith("Routed LoRA -3.0 [-4.0, -2.0], below it (routed in the same way).")
    assert "W-NCFT" not in told
    (_, alone) = told_of(rows[0], rows[4])
    assert alone.endswith("ends at 73.0 [72.0, 74.0].")


def test_findings_of_the_tables_made_by_hand(files):
    """SeqFT has 62.5 and 50 of 100 where NCFT has 75 and 87.5."""
    told = findings({"continual_learning": table("continual_learning", files)}, 80)
    assert "standard 2 orders of 2 tasks, large 1 order of 3 tasks" in told[0]
    (above,) = [text for text in told if "the paper has NCFT above" in text]
    assert above.startswith("On standard") and "+25.0 [" in above
    assert not [text for text in told if text.startswith("On large")]
