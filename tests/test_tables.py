"""Tables from prediction files whose numbers are known by hand."""

import argparse

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from taskneurons.artifacts import read_frame, write_frame
from taskneurons.bootstrap import mean_interval
from taskneurons.findings import findings
from taskneurons.neuron_set import neuron_index, random_set, top_share, write_mask
from taskneurons.tables import (
    cross_task_deactivation,
    deactivation,
    deactivation_effect,
    deactivation_means,
    jaccard,
    neurons_per_layer,
    overlap_rate,
    specificity,
    zero_shot,
)
from taskneurons.tables.common import read_predictions, write_table

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
    arguments.published = ROOT / "workflow" / "published" / "zero_shot.csv"
    row = cell(zero_shot.rows(arguments), task="A")
    assert (row["method"], row["value"], row["n_seeds"], row["paper_llama"]) == ("zero-shot", 75, 0, 85.2)


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
        write_mask(paths[-1], random_set(8, widths, number), None, {"set": task})
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
    from taskneurons.errors import UserError

    with pytest.raises(UserError, match="no prediction file is of the task 'd'"):
        read_predictions(arguments.predictions, {**TASKS, "d": TASKS["a"]})


def test_csv_and_parquet_hold_the_same(arguments, tmp_path):
    rows = deactivation.rows(arguments)
    write_table(rows, SPEC, tmp_path / "t.parquet", tmp_path / "t.csv")
    frame, metadata = read_frame(tmp_path / "t.parquet", "table")
    assert metadata["spec"]["model"] == "m"
    assert np.allclose(pd.read_csv(tmp_path / "t.csv")["value"], frame["value"], atol=0.005)


def test_findings_say_what_the_tables_show(arguments):
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
    text = " ".join(findings(frames))
    assert "from 75.0 to 12.5 with a task's own neurons off and to 68.8" in text
    assert "in 0 of 1 cells below 100 %" in text
    frames["deactivation_effect"]["ci_low"] = -1
    assert "hurts more than random ones on 0 of 3 tasks" in " ".join(findings(frames))


def test_top_share_rounds_as_the_tables_say():
    assert len(top_share(np.arange(46_080.0), 10, (1536,) * 30)) == 4608
