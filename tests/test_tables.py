"""Tables from prediction files whose numbers are known by hand."""

import argparse

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.neurons.neuron_set import neuron_index, random_set, top_share, write_mask
from taskneurons.report.findings import findings
from taskneurons.tables import (
    cross_task_deactivation,
    cross_task_tuning,
    deactivation,
    deactivation_effect,
    deactivation_means,
    faithfulness,
    jaccard,
    neuron_tuning,
    neuron_tuning_effect,
    neuron_tuning_means,
    neurons_per_layer,
    overlap_rate,
    selection_damage,
    single_task_proportion,
    specificity,
    stability,
    zero_shot,
)
from taskneurons.tables.common import read_predictions, write_table
from taskneurons.tables.intervals import mean_interval

TASKS = {
    "a": {"name": "A", "family": "one", "metric": "accuracy", "counterpart": "AmazonFood"},
    "b": {"name": "B", "family": "one", "metric": "accuracy", "counterpart": "SST-2"},
    "c": {"name": "C", "family": "two", "metric": "rougeL", "counterpart": None},
}
SPEC = {
    "tasks": TASKS,
    "model": "m",
    "tables": {"bootstrap": 200, "confidence": 95},
    "cross_task_examples": 2,
    "scored_examples": 2,
}
# task → condition → scores; other tasks' sets only on the first two examples
SCORES = {
    "a": {
        "none": [1, 1, 1, 0],
        "a": [0, 0, 1, 0],
        "b": [0, 1],
        "c": [1, 1],
        "random-0": [1, 1, 0, 0],
        "random-1": [1, 1, 1, 0],
    },
    "b": {
        "none": [1, 1, 0, 1],
        "a": [1, 0],
        "b": [0, 0, 0, 0],
        "c": [1, 1],
        "random-0": [1, 1, 0, 1],
        "random-1": [1, 1, 0, 1],
    },
    "c": {
        "none": [0.5, 0.5, 1, 1],
        "a": [0.5, 0.25],
        "b": [0, 0],
        "c": [0, 0.5, 0.5, 0],
        "random-0": [0.5, 0.5, 1, 1],
        "random-1": [0.5, 0.5, 0, 1],
    },
}


@pytest.fixture
def arguments(tmp_path):
    paths = []
    for seed in (0, 1):  # two training seeds with the same scores: means stay, n_seeds is 2
        for task, conditions in SCORES.items():
            rows = [(name, n, "", score) for name, scores in conditions.items() for n, score in enumerate(scores)]
            frame = pd.DataFrame(rows, columns=["condition", "id", "prediction", "score"])
            facts = {"task": task, "n_test": 4, "truncated_prompts": 0.25, "truncated_targets": 0.0}
            paths.append(tmp_path / f"{task}-{seed}.parquet")
            write_frame(paths[-1], frame, "predictions", facts)
    published = ROOT / "workflow" / "published"
    return argparse.Namespace(spec=SPEC, predictions=paths, published=published / "deactivation.csv")


def cell(rows, **key):
    (row,) = [row for row in rows if all(row[name] == value for name, value in key.items())]
    return row


def test_deactivation(arguments):
    rows = deactivation.rows(arguments)
    assert [row["method"] for row in rows] == ["original"] * 3 + ["deactivate-random"] * 3 + ["deactivate-task"] * 3
    assert [row["task"] for row in rows[:3]] == ["A", "B", "C"]
    one = cell(rows, task="A", method="original")
    assert (one["value"], one["n_seeds"], one["n_draws"], one["n_test"]) == (75, 2, 0, 4)
    assert (one["paper_llama"], one["paper_bloom"], one["truncated_prompts_pct"]) == (91.8, 90.6, 25)
    drawn = cell(rows, task="A", method="deactivate-random")
    assert (drawn["value"], drawn["n_draws"]) == (62.5, 2)
    assert cell(rows, task="C", method="deactivate-task")["value"] == 25
    assert cell(rows, task="C", method="deactivate-task")["paper_llama"] is None
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] for row in rows)


def test_means_and_effect(arguments):
    means = deactivation_means.rows(arguments)
    assert cell(means, kind="classification", method="original")["value"] == 75
    assert cell(means, kind="classification", method="original")["paper_llama"] == pytest.approx((91.8 + 92.4) / 2)
    assert np.isnan(cell(means, kind="generation", method="original")["paper_llama"])
    effect = deactivation_effect.rows(arguments)
    assert cell(effect, task="A")["value"] == 62.5 - 25
    assert cell(effect, task="B")["value"] == 75


def test_zero_shot(arguments):
    arguments.published = ROOT / "workflow" / "published" / "neuron_tuning.csv"
    row = cell(zero_shot.rows(arguments), task="A")
    assert (row["method"], row["value"], row["n_seeds"], row["paper_llama"]) == ("zero-shot", 75, 0, 85.2)


# task → condition → scores of the models that were tuned from the base model
TUNED = {
    "a": {"a": [0, 0, 1, 0], "random-0": [1, 0, 1, 0], "b": [0, 1], "c": [1, 1]},
    "b": {"b": [0, 0, 0, 1], "random-0": [0, 1, 1, 0], "a": [0, 0], "c": [0, 0]},
    "c": {"c": [1, 1, 1, 1], "random-0": [0.5, 0.5, 0.5, 0.5], "a": [1, 1], "b": [0, 0]},
}
AT_PROPORTIONS = {"a": {"top10": [1, 0, 1, 0], "top100": [1, 1, 1, 1]}}


@pytest.fixture
def tuning_arguments(arguments, tmp_path):
    """The base model's predictions are those of the condition "none" above."""
    written = {}
    for kind, tables in (("tuned", TUNED), ("proportions", AT_PROPORTIONS)):
        written[kind] = []
        for task, conditions in tables.items():
            rows = [(name, n, "", score) for name, scores in conditions.items() for n, score in enumerate(scores)]
            frame = pd.DataFrame(rows, columns=["condition", "id", "prediction", "score"])
            written[kind].append(tmp_path / f"{kind}-{task}.parquet")
            facts = {"task": task, "n_test": 4, "truncated_prompts": 0.25, "truncated_targets": 0.0}
            write_frame(written[kind][-1], frame, "predictions", facts)
    published = ROOT / "workflow" / "published" / "neuron_tuning.csv"
    base = arguments.predictions[: len(SCORES)]
    return argparse.Namespace(spec={**SPEC, "percents": [10, 100]}, base=base, **written, published=published)


def tuning_frames(arguments):
    frames = {
        "neuron_tuning_means": neuron_tuning_means.rows(arguments),
        "neuron_tuning_effect": neuron_tuning_effect.rows(arguments),
        "cross_task_tuning": cross_task_tuning.rows(arguments),
    }
    only_a = {**arguments.spec, "tasks": {"a": TASKS["a"]}}
    proportions = argparse.Namespace(spec=only_a, base=arguments.base[:1], tuned=arguments.proportions)
    frames["single_task_proportion"] = single_task_proportion.rows(proportions)
    return {name: pd.DataFrame(rows) for name, rows in frames.items()}


def test_neuron_tuning(tuning_arguments):
    rows = neuron_tuning.rows(tuning_arguments)
    assert [row["method"] for row in rows] == ["zero-shot"] * 3 + ["train-random"] * 3 + ["train-task"] * 3
    zero_shot, drawn, own = (cell(rows, task="A", method=method) for method in neuron_tuning.METHODS)
    assert (zero_shot["value"], zero_shot["n_seeds"], zero_shot["n_draws"]) == (75, 0, 0)
    assert (drawn["value"], drawn["n_seeds"], drawn["n_draws"]) == (50, 1, 1)
    assert (own["value"], own["n_seeds"], own["paper_llama"]) == (25, 1, 88.5)
    frames = tuning_frames(tuning_arguments)
    means = frames["neuron_tuning_means"].set_index(["kind", "method"])["value"]
    assert means["classification", "train-task"] == 25 and means["generation", "train-task"] == 100
    assert list(frames["neuron_tuning_effect"]["value"]) == [-25, -25, 50]


def test_seeds_and_draws_are_averaged_before_examples_are_resampled(tuning_arguments, tmp_path):
    """Two trainings by two draws that differ, but whose mean is 0.5 on every example: an interval without width."""
    runs = [
        {"a": [1, 1, 0, 1], "random-0": [1, 0, 1, 0], "random-1": [0, 0, 0, 1]},
        {"a": [1, 0, 0, 1], "random-0": [1, 1, 0, 0], "random-1": [0, 1, 1, 1]},
    ]
    paths = []
    for seed, conditions in enumerate(runs):
        rows = [(name, n, "", score) for name, scores in conditions.items() for n, score in enumerate(scores)]
        frame = pd.DataFrame(rows, columns=["condition", "id", "prediction", "score"])
        facts = {"task": "a", "n_test": 4, "truncated_prompts": 0.0, "truncated_targets": 0.0}
        paths.append(tmp_path / f"seed{seed}.parquet")
        write_frame(paths[-1], frame, "predictions", facts)
    tuning_arguments.spec = {**SPEC, "tasks": {"a": TASKS["a"]}}
    tuning_arguments.tuned = paths
    rows = neuron_tuning.rows(tuning_arguments)
    drawn, own = (cell(rows, method=method) for method in neuron_tuning.METHODS[1:])
    assert (drawn["value"], drawn["ci_low"], drawn["ci_high"]) == (50, 50, 50)
    assert (drawn["n_seeds"], drawn["n_draws"], own["value"], own["n_draws"]) == (2, 2, 62.5, 0)
    assert own["ci_low"] < 62.5 < own["ci_high"]
    (effect,) = neuron_tuning_effect.rows(tuning_arguments)
    assert (effect["value"], effect["n_seeds"], effect["n_draws"]) == (12.5, 2, 2)
    assert (effect["ci_low"], effect["ci_high"]) == (own["ci_low"] - 50, own["ci_high"] - 50)


def test_cross_task_tuning(tuning_arguments):
    rows = cross_task_tuning.rows(tuning_arguments)
    assert len(rows) == 9 and {row["reading"] for row in rows} == {"own-data"}
    own = cell(rows, tuned_task="A", task="A")
    assert (own["value"], own["change"], own["n_test"]) == (0, -100, 2)
    assert cell(rows, tuned_task="A", task="C")["change"] == 50
    for tested in TUNED:
        path = tuning_arguments.tuned[list(TUNED).index(tested)]
        frame, facts = read_frame(path, "predictions")
        other = frame[frame["condition"].isin(set(TUNED) - {tested})]
        crossed = other.assign(condition=other["condition"] + f"-on-{tested}", score=1.0)
        write_frame(path, pd.concat([frame, crossed]), "predictions", facts)
    rows = cross_task_tuning.rows(tuning_arguments)
    assert len(rows) == 18
    assert cell(rows, tuned_task="A", task="B", reading="tested-data")["value"] == 100
    assert cell(rows, tuned_task="A", task="A", reading="tested-data")["value"] == 0


def test_single_task_proportion(tuning_arguments):
    table = tuning_frames(tuning_arguments)["single_task_proportion"]
    assert list(table["proportion_pct"]) == [0, 10, 100]
    assert list(table["value"]) == [75, 50, 100]
    assert list(table["n_seeds"]) == [0, 1, 1]


def test_cross_task_uses_the_same_examples_for_value_and_change(arguments):
    rows = cross_task_deactivation.rows(arguments)
    assert len(rows) == 9
    own = cell(rows, masked_task="A", task="A")
    assert (own["value"], own["change"], own["n_test"]) == (0, -100, 2)
    other = cell(rows, masked_task="B", task="A")
    assert (other["value"], other["change"]) == (50, -50)


def test_specificity(arguments):
    rows = specificity.rows(arguments)
    assert cell(rows, task="A", relation="same-family")["value"] == 50 - 0
    assert cell(rows, task="A", relation="other-family")["value"] == 100 - 0
    assert cell(rows, task="C", relation="other-family")["value"] == pytest.approx((37.5 + 0) / 2 - 25)
    assert not [row for row in rows if row["task"] == "C" and row["relation"] == "same-family"]


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        values = rng.binomial(1, 0.7, size=100).astype(float)
        _, low, high = mean_interval(values, 300, 95, seed=trial)
        hits += low <= 0.7 <= high
    assert 0.90 < hits / 300 < 0.985


def test_interval_resamples_examples_once_for_all_runs():
    """Runs see the same examples: two equal runs tell no more than one."""
    values = np.random.default_rng(0).random(50)
    assert mean_interval(values, 100, 95) == mean_interval(np.stack([values, values]), 100, 95)


def test_masks_tables(tmp_path):
    widths = (10, 30)
    paths = []
    for number, task in enumerate(TASKS):
        paths.append(tmp_path / f"{task}.parquet")
        write_mask(paths[-1], random_set(8, widths, number), [None, None], None, {"set": task})
    arguments = argparse.Namespace(spec={"tasks": TASKS}, masks=paths)
    layers = neurons_per_layer.rows(arguments)
    assert sum(row["n_neurons"] for row in layers if row["task"] == "A") == 8
    pairs = jaccard.rows(arguments)
    assert len(pairs) == 9
    assert cell(pairs, task="A", other_task="A")["value"] == 100
    expected = 100 * random_set(8, widths, 0).jaccard(random_set(8, widths, 1))
    assert cell(pairs, task="A", other_task="B")["value"] == pytest.approx(expected)
    assert cell(pairs, task="A", other_task="B")["chance"] == pytest.approx(100 * 0.04 / 0.36)


def test_overlap_rate_against_brute_force(tmp_path):
    widths, rng = (20, 20), np.random.default_rng(1)
    scores = {task: rng.random(40) for task in "abcd"}
    paths: dict[str, list] = {"scores": [], "bootstrap": []}
    for task, values in scores.items():
        made = {"model": "m", "task": task, "widths": widths}
        frame = neuron_index(widths).assign(score=values)
        replicas = neuron_index(widths).assign(**{f"replicate_{n}": values + 0.1 * rng.random(40) for n in range(20)})
        for kind, content, name in (("scores", frame, "scores"), ("bootstrap", replicas, "score replicates")):
            paths[kind].append(tmp_path / f"{kind}-{task}.parquet")
            write_frame(paths[kind][-1], content, name, made)
    groups = {"CLS-CLS": {"train": ["a", "b"], "test": ["c", "d"]}}
    spec = {
        "overlap": {"groups": groups, "proportions": [10, 30, 100]},
        "scope": "global",
        "model": "multitask",
        "tables": SPEC["tables"],
    }
    published = ROOT / "workflow/published/overlap_rate.csv"
    rows = overlap_rate.rows(argparse.Namespace(spec=spec, published=published, **paths))
    for row in rows:
        top = {task: set(np.argsort(-values)[: round(0.4 * row["proportion_pct"])]) for task, values in scores.items()}
        train, test = top["a"] | top["b"], top["c"] | top["d"]
        assert row["value"] == pytest.approx(100 * len(train & test) / len(train | test))
        share, other = len(train) / 40, len(test) / 40
        assert row["chance"] == pytest.approx(100 * share * other / (share + other - share * other))
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert rows[0]["paper_llama"] == 20.8
    assert rows[2]["value"] == rows[2]["ci_low"] == rows[2]["chance"] == 100


def test_a_missing_task_is_told(arguments):
    from taskneurons.core.errors import UserError

    with pytest.raises(UserError, match="no prediction file is of the task 'd'"):
        read_predictions(arguments.predictions, {**TASKS, "d": TASKS["a"]})


def test_csv_and_parquet_hold_the_same(arguments, tmp_path):
    rows = deactivation.rows(arguments)
    write_table(rows, SPEC, tmp_path / "t.parquet", tmp_path / "t.csv")
    frame, metadata = read_frame(tmp_path / "t.parquet", "table")
    assert metadata["spec"]["model"] == "m"
    assert np.allclose(pd.read_csv(tmp_path / "t.csv")["value"], frame["value"], atol=0.005)


def test_damage_by_hand(arguments, tmp_path):
    """Two examples a task; "r" raises a's loss by 1 and 3 with a's set, c's by 0.5 with any; draws are averaged."""
    paths = []
    for task in TASKS:
        rows = [("none", 0.0, "none", 0, 0, "loss", n, 1.0) for n in range(2)]
        for masked in TASKS:
            rise = {("a", "a"): (1, 3), ("c", "a"): (0.5, 0.5), ("c", "b"): (0.5, 0.5)}.get((task, masked), (0, 0))
            rows += [("r", 3.0, masked, 0, 4, "loss", n, 1 + rise[n]) for n in range(2)]
        rows += [("random", 3.0, f"random-{draw}", draw, 5, "loss", n, 1.0 + draw) for draw in (0, 1) for n in range(2)]
        names = ["rule", "k", "masked_task", "draw", "n_neurons", "measure", "id", "value"]
        paths.append(tmp_path / f"damage-{task}.parquet")
        write_frame(paths[-1], pd.DataFrame(rows, columns=names), "damage", {"task": task})
    spec = {**SPEC, "k": 10.0, "scope": "global"}
    found = selection_damage.rows(argparse.Namespace(spec=spec, damage=paths, predictions=arguments.predictions))
    own = cell(found, rule="r", masked_task="A", relation="own", measure="loss")
    assert (own["value"], own["ci_low"], own["ci_high"], own["n_neurons"], own["n_test"]) == (2, 1, 3, 4, 2)
    assert cell(found, rule="r", masked_task="A", relation="family", measure="loss")["value"] == 0
    assert cell(found, rule="r", masked_task="A", relation="other", measure="loss")["value"] == 0.5
    assert not [row for row in found if row["masked_task"] == "C" and row["relation"] == "family"]
    drawn = cell(found, rule="random", masked_task="B", relation="own", measure="loss")
    assert (drawn["value"], drawn["n_neurons"]) == (0.5, 5)
    # The main job's predictions: A with its own set off falls from (1, 1) to (0, 0) on the two examples of the matrix.
    assert cell(found, rule="global", masked_task="A", relation="own", measure="score")["value"] == 100


def test_faithfulness_by_hand(tmp_path):
    frame = pd.DataFrame(
        {
            "layer": 0,
            "expert": None,
            "neuron": range(4),
            "exact": [4.0, 3.0, 2.0, 1.0],
            "good": [40.0, 30.0, 20.0, 10.0],
            "bad": [1.0, 2.0, 3.0, 4.0],
            "constant": [1.0, 1.0, 1.0, 1.0],
            "swapped": [3.0, 4.0, 2.0, 1.0],
        }
    )
    write_frame(tmp_path / "a.parquet", frame, "faithfulness", {"task": "a", "state": "base", "n_examples": 8})
    spec = {"tasks": TASKS, "top": 25}
    rows = faithfulness.rows(argparse.Namespace(spec=spec, comparisons=[tmp_path / "a.parquet"]))
    found = {row["criterion"]: (row["spearman"], row["recall"]) for row in rows}
    assert found["good"] == pytest.approx((1, 1))
    assert found["bad"] == pytest.approx((-1, 0))
    assert found["constant"][0] == 0
    assert found["swapped"] == pytest.approx((0.8, 0))
    assert {row["n_neurons"] for row in rows} == {4}


def test_stability_by_hand(tmp_path):
    """Ten neurons, top 20 %: the sides of the first repeat share both neurons, those of the second one of three."""
    best = {"2_0_a": (0, 1), "2_0_b": (0, 1), "2_1_a": (0, 1), "2_1_b": (1, 2)}
    frame = neuron_index((10,)).assign(**{name: np.isin(np.arange(10), pair) * 1.0 for name, pair in best.items()})
    write_frame(tmp_path / "s.parquet", frame, "subset scores", {"task": "a", "widths": [10]})
    spec = {"tasks": TASKS, "k": 20, "scope": "global"}
    (row,) = stability.rows(argparse.Namespace(spec=spec, subsets=[tmp_path / "s.parquet"]))
    assert (row["n_examples"], row["largest"], row["n_repeats"]) == (2, 100, 2)
    assert row["smallest"] == pytest.approx(100 / 3)
    assert row["value"] == pytest.approx(200 / 3)
    assert row["chance"] == pytest.approx(100 * 0.04 / 0.36)


def test_findings_say_what_the_tables_show(arguments, tuning_arguments):
    frames = {
        name: pd.DataFrame(module.rows(arguments))
        for name, module in {
            "deactivation_means": deactivation_means,
            "deactivation_effect": deactivation_effect,
            "specificity": specificity,
            "cross_task_deactivation": cross_task_deactivation,
        }.items()
    }
    frames["overlap_rate"] = pd.DataFrame({"proportion_pct": [10, 100], "ci_low": [5, 100], "chance": [8, 100]})
    frames["selection_damage"] = pd.DataFrame(
        {
            "rule": ["global", "global", "random"],
            "k": [10.0, 10.0, 10.0],
            "relation": ["own", "other", "own"],
            "measure": "loss",
            "value": [2.0, 1.0, 0.25],
            "n_neurons": [12, 14, 12],
        }
    )
    frames["faithfulness"] = pd.DataFrame(
        {
            "state": "base",
            "criterion": ["attribution", "random"],
            "task": "A",
            "spearman": [0.9, 0.0],
            "recall": [0.8, 0.1],
        }
    )
    frames["stability"] = pd.DataFrame(
        {"task": ["A", "A", "B", "B"], "n_examples": [2, 4, 2, 4], "value": [50, 80, 60, 90], "chance": 5.0}
    )
    frames |= tuning_frames(tuning_arguments)
    text = " ".join(findings(frames, 80))
    assert "from 75.0 to 12.5 with a task's own neurons off and to 68.8" in text
    assert "in 0 of 1 cells below 100 %" in text
    # A falls to 0 with its own set alone; B ties on its own with nothing; C's own set leaves 25, b's none.
    assert "the set that hurts it most for 2 of 3 tasks, and one of several that hurt it equally for 0" in text
    assert "few neurons: global (13 neurons) 2.00 for the task itself, 1.00 for the other tasks; random (12" in text
    assert "base model, mean over 1 tasks: attribution 0.90 (recall 0.80), random 0.00 (recall 0.10)" in text
    assert "55 % with 2, 85 % with 4 examples in each: 4 examples are enough for 80 % (with 4" in text
    assert "the least is 80 %, A); chance is 5 %" in text
    assert "from 75.0 to 25.0, training as many random ones to 50.0 (the paper, Llama-2-7b: 81.8" in text
    assert "brings more than training random ones on 1 of 3 tasks, and less on 0" in text
    # A and B lose by their own neurons; C, alone of its kind, has no other to compare with.
    assert "Among the 2 tasks measured by accuracy" in text
    assert "any of the others' does for 0, and raises none of the others as much for 0" in text
    assert "A 75.0 at 0 %, 50.0 at 10 %, 100.0 at 100 %." in text
    assert "no size tried is enough for 90 %" in " ".join(findings(frames, 90))
    frames["deactivation_effect"]["ci_low"] = -1
    assert "hurts more than switching off random ones on 0 of 3 tasks" in " ".join(findings(frames, 80))


def test_top_share_rounds_as_the_tables_say():
    assert len(top_share(np.arange(46_080.0), 10, (1536,) * 30)) == 4608
