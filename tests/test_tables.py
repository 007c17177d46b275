"""Tables from prediction files whose numbers are known by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.errors import UserError
from taskneurons.core.named import named
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mask_file import write_mask
from taskneurons.neurons.neuron_set import NeuronSet, top_share
from taskneurons.report.contents import TABLES
from taskneurons.report.findings.listed import findings
from taskneurons.tables import write
from taskneurons.tables.common import Predictions, TableSettings, read_predictions
from taskneurons.tables.intervals import mean_interval

DECLARED = {table.name: table for table in TABLES}
PUBLISHED = ROOT / "workflow" / "published"
TASKS = {
    "a": {"name": "A", "family": "one", "metric": "accuracy", "counterpart": "AmazonFood"},
    "b": {"name": "B", "family": "one", "metric": "accuracy", "counterpart": "SST-2"},
    "c": {"name": "C", "family": "two", "metric": "rougeL", "counterpart": None},
}
CONFIG = {
    "model.name": "m",
    "tables.bootstrap": 200,
    "tables.confidence": 95,
    "evaluation.cross_task_examples": 2,
    "damage.scored_examples": 2,
    "selection.k": 10.0,
    "selection.scope": "global",
    "ablation": "zero",
    "attribution.reference": "zero",
    "attribution.model": "multitask",
    "neuron_tuning.proportions.percents": [10, 100],
    "neuron_tuning.training.epochs": 1,
    "faithfulness.top": 25,
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
# task → condition → scores of the models that were tuned from the base model
TUNED = {
    "a": {"own-tuned": [0, 0, 1, 0], "random-0-tuned": [1, 0, 1, 0], "b": [0, 1], "c": [1, 1]},
    "b": {"own-tuned": [0, 0, 0, 1], "random-0-tuned": [0, 1, 1, 0], "a": [0, 0], "c": [0, 0]},
    "c": {"own-tuned": [1, 1, 1, 1], "random-0-tuned": [0.5, 0.5, 0.5, 0.5], "a": [1, 1], "b": [0, 0]},
}
# The same at the common rate, and with another family's neurons.
AT_COMMON = {
    "a": {"own-common": [1, 0, 0, 0], "random-0-common": [0, 0, 0, 0], "other-family-common": [1, 1, 0, 0]},
    "b": {"own-common": [1, 1, 0, 0], "random-0-common": [1, 0, 0, 0], "other-family-common": [1, 1, 1, 0]},
    "c": {"own-common": [1, 1, 1, 0], "random-0-common": [0, 1, 1, 0], "other-family-common": [0, 0, 0, 0]},
}
RATES = {"tuned": 0.01, "common": 0.001}
METHODS = ("zero-shot", "train-random", "train-task")  # the paper's
AT_PROPORTIONS = {"a": {"top10": [1, 0, 1, 0], "top100": [1, 1, 1, 1]}}


def settings_of(name, tasks=TASKS, config=None):
    """What a table is given: what its declaration names, and no more."""
    values, table = {**CONFIG, **(config or {})}, DECLARED[name]
    shown = {key: {field: task[field] for field in table.fields} for key, task in tasks.items()}
    return TableSettings(table=name, tasks=shown, config={key: values[key] for key in table.config})


def inputs_of(name, files):
    """The files that a table takes."""
    table = DECLARED[name]
    published = {"published": PUBLISHED / f"{table.published}.csv"} if table.published else {}
    return {**{kind: files[kind] for kind in table.inputs}, **published}


def rows_of(name, files, tasks=TASKS, config=None):
    """The rows of a table."""
    return named("tables", name).rows(settings_of(name, tasks, config), **inputs_of(name, files))


def predictions_file(path: Path, task, conditions):
    rows = [(name, n, "", score) for name, scores in conditions.items() for n, score in enumerate(scores)]
    frame = pd.DataFrame(rows, columns=["condition", "id", "prediction", "score"])
    made = {
        "task": task,
        "n_test": 4,
        "lost": {"duplicates": 3, "overlap": 2, "nulls": 1},
        "truncated_prompts": 0.25,
        "truncated_targets": 0.0,
        "learning_rates": {name: RATES.get(name.rpartition("-")[2]) for name in conditions},
    }
    write_frame(path, frame, "predictions", made)
    return path


@pytest.fixture
def files(tmp_path):
    """Files of every kind of predictions; those of the base model are those of the condition "none"."""
    originals = [
        predictions_file(tmp_path / f"{task}-{seed}.parquet", task, conditions)
        for seed in (0, 1)  # two training seeds with the same scores: means stay, n_seeds is 2
        for task, conditions in SCORES.items()
    ]
    first = originals[: len(SCORES)]
    tuned, proportions = (
        [predictions_file(tmp_path / f"{kind}-{task}.parquet", task, scores) for task, scores in of_tasks.items()]
        for kind, of_tasks in (("tuned", TUNED), ("proportions", AT_PROPORTIONS))
    )
    return {
        "original_predictions": originals,
        "first_original_predictions": first,
        "base_predictions": first,
        "tuned_predictions": tuned,
        "proportion_predictions": proportions,
    }


def cell(rows, **key):
    (row,) = [row for row in rows if all(row[name] == value for name, value in key.items())]
    return row


def test_deactivation(files):
    rows = rows_of("deactivation", files)
    assert [row["method"] for row in rows] == ["original"] * 3 + ["deactivate-random"] * 3 + ["deactivate-task"] * 3
    assert [row["task"] for row in rows[:3]] == ["A", "B", "C"]
    one = cell(rows, task="A", method="original")
    assert (one["value"], one["n_seeds"], one["n_draws"], one["n_test"]) == (75, 2, 0, 4)
    assert (one["paper_llama"], one["paper_bloom"], one["truncated_prompts_pct"]) == (91.8, 90.6, 25)
    assert (one["lost_duplicates"], one["lost_overlap"], one["lost_nulls"]) == (3, 2, 1)
    drawn = cell(rows, task="A", method="deactivate-random")
    assert (drawn["value"], drawn["n_draws"]) == (62.5, 2)
    assert cell(rows, task="C", method="deactivate-task")["value"] == 25
    assert cell(rows, task="C", method="deactivate-task")["paper_llama"] is None
    assert all(row["ci_low"] <= row["value"] <= row["ci_high"] for row in rows)


def test_means_and_effect(files):
    means = rows_of("deactivation_means", files)
    assert cell(means, kind="classification", method="original")["value"] == 75
    assert cell(means, kind="classification", method="original")["paper_llama"] == pytest.approx((91.8 + 92.4) / 2)
    assert np.isnan(cell(means, kind="generation", method="original")["paper_llama"])
    effect = rows_of("deactivation_effect", files)
    assert cell(effect, task="A")["value"] == 62.5 - 25
    assert cell(effect, task="B")["value"] == 75


def test_zero_shot(files):
    row = cell(rows_of("zero_shot", files), task="A")
    assert (row["method"], row["value"], row["n_seeds"], row["paper_llama"]) == ("zero-shot", 75, 0, 85.2)


def proportion_rows(files):
    """Task a alone was trained on proportions of its neurons."""
    only_a = {**files, "base_predictions": files["base_predictions"][:1]}
    return rows_of("single_task_proportion", only_a, {"a": TASKS["a"]})


def test_neuron_tuning(files):
    rows = rows_of("neuron_tuning", files)
    assert [row["method"] for row in rows] == ["zero-shot"] * 3 + ["train-random"] * 3 + ["train-task"] * 3
    zero_shot, drawn, own = (cell(rows, task="A", method=method) for method in METHODS)
    assert (zero_shot["value"], zero_shot["n_seeds"], zero_shot["n_draws"]) == (75, 0, 0)
    assert (zero_shot["rate"], zero_shot["learning_rate"]) == (None, None)
    assert (drawn["value"], drawn["n_seeds"], drawn["n_draws"]) == (50, 1, 1)
    assert (own["value"], own["n_seeds"], own["paper_llama"]) == (25, 1, 88.5)
    assert (own["rate"], own["learning_rate"]) == ("tuned", 0.01)
    means = {(row["kind"], row["method"]): row["value"] for row in rows_of("neuron_tuning_means", files)}
    assert means["classification", "train-task"] == 25 and means["generation", "train-task"] == 100
    effect = rows_of("neuron_tuning_effect", files)
    assert [(row["task"], row["value"]) for row in effect] == [
        ("mean over tasks", 0),
        ("A", -25),
        ("B", -25),
        ("C", 50),
    ]


@pytest.fixture
def both_rates(files, tmp_path):
    """The files with predictions at the common rate too."""
    files["tuned_predictions"] = [
        predictions_file(tmp_path / f"both-{task}.parquet", task, {**TUNED[task], **AT_COMMON[task]}) for task in TUNED
    ]
    return files


def test_neuron_tuning_at_both_rates(both_rates):
    """The paper's figures stand beside its own methods alone; what the run does not have has no rows."""
    rows = rows_of("neuron_tuning", both_rates)
    assert list(dict.fromkeys((row["method"], row["rate"]) for row in rows)) == [
        *(("zero-shot", None), ("train-random", "tuned"), ("train-random", "common")),
        *(("train-task", "tuned"), ("train-task", "common"), ("train-other-family", "common")),
    ]
    other = cell(rows, task="A", method="train-other-family")
    assert (other["value"], other["learning_rate"], other["paper_llama"], other["n_draws"]) == (50, 0.001, None, 0)
    common = cell(rows, task="A", method="train-task", rate="common")
    assert (common["value"], common["paper_llama"]) == (25, 88.5)
    means = rows_of("neuron_tuning_means", both_rates)
    drawn = cell(means, kind="classification", method="train-random", rate="common")
    assert (drawn["value"], drawn["n_draws"], drawn["learning_rate"]) == (12.5, 1, 0.001)
    assert np.isnan(cell(means, kind="generation", method="train-other-family")["paper_llama"])


def test_own_less_each_control_set(both_rates):
    """Own less random is −25, −25, 50 at the tuned rate and 25, 25, 25 at the common one; the mean resamples tasks."""
    rows = rows_of("neuron_tuning_effect", both_rates)
    measures = {(row["against"], row["rate"], row["task"]): row["measure"] for row in rows}
    assert [key for key, measure in measures.items() if measure == "primary"] == [
        ("random", "tuned", "mean over tasks")
    ]
    assert set(measures.values()) == {"primary", "exploratory"}
    tuned = cell(rows, against="random", rate="tuned", task="mean over tasks")
    # Of three tasks all may be drawn alike, in 8 + 1 of 27 ways: the interval ends at the tasks' own values.
    assert (tuned["value"], tuned["ci_low"], tuned["ci_high"]) == (0, -25, 50)
    assert (tuned["n_tasks"], tuned["n_test"], tuned["n_draws"], tuned["metric"]) == (3, 12, 1, "accuracy, rougeL")
    common = cell(rows, against="random", rate="common", task="mean over tasks")
    assert (common["value"], common["ci_low"], common["ci_high"]) == (25, 25, 25)
    other = cell(rows, against="other-family", rate="common", task="C")
    assert (other["value"], other["n_tasks"], other["n_draws"]) == (75, 1, 0)
    assert not [row for row in rows if row["against"] in ("contrastive", "own")]
    for config in ({"selection.k": 3.0}, {"neuron_tuning.training.epochs": 2}):
        assert "primary" not in {row["measure"] for row in rows_of("neuron_tuning_effect", both_rates, config=config)}


def test_learning_rates(tmp_path):
    frame = pd.DataFrame(
        {
            "kind": "own",
            "task": ["a", "b", "a", "b"],
            "learning_rate": [0.1, 0.1, 1.0, 1.0],
            "validation_loss": [1.0, 3.0, 2.0, np.inf],
        }
    )
    path = tmp_path / "own.parquet"
    write_frame(path, frame, "learning rates", {"set_kind": "own", "learning_rate": 0.1, "at_edge": True})
    rows = rows_of("learning_rates", {"learning_rates": [path]})
    assert [(row["task"], row["learning_rate"], row["validation_loss"]) for row in rows] == [
        *(("mean over tasks", 0.1, 2), ("A", 0.1, 1), ("B", 0.1, 3)),
        *(("mean over tasks", 1, np.inf), ("A", 1, 2), ("B", 1, np.inf)),
    ]
    assert [row["chosen"] for row in rows] == [True] * 3 + [False] * 3 == [row["at_edge"] for row in rows]
    (text,) = findings({"learning_rates": pd.DataFrame(rows)}, 80)
    assert "at selection.k: own 0.1. Still" in text and text.endswith("beyond: own.")


# (kind, rate, k) → losses of the tasks a and b at 0, 50 and 100 % of 20 and 40 steps.
LOSSES = {
    ("own", "tuned", 10.0): ([5, 2, 1], [6, 4, 2]),
    ("random", "tuned", 10.0): ([5, 4, 1.5], [6, 5, 1]),
    ("crossed", "tuned", 10.0): ([5, 0, 0], [6, 0, 0]),
    ("own", "common", 10.0): ([5, 4.5, 4], [6, 5, 4]),
    ("random", "common", 10.0): ([5, 5, 5], [6, 6, 6]),
}
OVER_K = {
    ("own", "tuned", 1.0): [5, 4, 3],
    ("random", "tuned", 1.0): [5, 5, 4.5],
    ("own", "common", 1.0): [5, 5, 4.8],
    ("random", "common", 1.0): [5, 5, 5],
}


@pytest.fixture
def curves(tmp_path):
    """Of two seeds, whose losses of the tasks a and b differ by 0.2 at every later point; a alone has another k."""
    files = []
    for seed in (0, 1):
        for number, task in enumerate("ab"):
            found = {**LOSSES, **({key: (losses,) for key, losses in OVER_K.items()} if task == "a" else {})}
            rows = [
                {
                    **dict(zip(("kind", "rate", "k"), key, strict=True)),
                    "task": task,
                    "trained_pct": 50.0 * point,
                    "step": 10 * point * (number + 1),
                    "validation_loss": loss + (0.1 - 0.2 * seed) * (point > 0),
                }
                for key, losses in found.items()
                for point, loss in enumerate(losses[number])
            ]
            files.append(tmp_path / f"{task}-{seed}.curves.parquet")
            write_frame(files[-1], pd.DataFrame(rows), "validation losses", {"task": task, "seed": seed})
    return files


def test_tuning_budget(curves):
    """Random less own, task by task: at the end −1 and 0.5 at the tuned rate, 1 and 2 at the common one."""
    rows = rows_of("tuning_budget", {"curves": curves})
    assert {row["kind"] for row in rows} == {"own", "random"}
    assert [row["rate"] for row in rows[:12:6]] == ["tuned", "common"]
    end = cell(rows, curve="steps", rate="tuned", trained_pct=100, kind="own")
    assert (end["steps"], end["value"], end["n_tasks"]) == (30, pytest.approx(1.5), 2)
    assert (end["less"], end["ci_low"], end["ci_high"]) == pytest.approx((-0.25, -1, 0.5))
    common = cell(rows, curve="steps", rate="common", trained_pct=100, kind="own")
    assert (common["less"], common["ci_low"], common["ci_high"]) == pytest.approx((1.5, 1, 2))
    middle = cell(rows, curve="steps", rate="tuned", trained_pct=50, kind="own")
    assert (middle["steps"], middle["less"]) == (15, pytest.approx(1.5))
    assert cell(rows, curve="steps", rate="tuned", trained_pct=0, kind="own")["less"] == 0
    assert cell(rows, curve="steps", rate="tuned", trained_pct=50, kind="random")["less"] is None
    over_k = [row for row in rows if row["curve"] == "k"]
    assert [(row["rate"], row["k"], row["kind"], row["value"]) for row in over_k] == [
        ("tuned", 1, "random", pytest.approx(4.5)),
        ("tuned", 1, "own", pytest.approx(3)),
        ("tuned", 10, "random", pytest.approx(1.5)),
        ("tuned", 10, "own", pytest.approx(1)),
        ("common", 1, "random", pytest.approx(5)),
        ("common", 1, "own", pytest.approx(4.8)),
        ("common", 10, "random", pytest.approx(5)),
        ("common", 10, "own", pytest.approx(4)),
    ]
    assert {(row["n_tasks"], row["ci_low"]) for row in over_k} == {(1, None)}  # of one task there is no interval


def test_findings_about_the_budgets(curves, monkeypatch):
    (text,) = findings({"tuning_budget": pd.DataFrame(rows_of("tuning_budget", {"curves": curves}))}, 80)
    assert "Of too few tasks for a verdict: 15 steps at the tuned rate +1.500" in text and "more at these" not in text
    monkeypatch.setattr("taskneurons.report.findings.proofs.ENOUGH_TASKS", 2)
    (text,) = findings({"tuning_budget": pd.DataFrame(rows_of("tuning_budget", {"curves": curves}))}, 80)
    assert "k = 10 % unless another is named (at the rates chosen for it)." in text
    assert (
        "Own neurons have learnt more at these budgets: 15 steps at the tuned rate +1.500 [+1.000, +2.000], 15 steps "
        "at the common rate +0.750 [+0.500, +1.000], 30 steps at the common rate +1.500 [+1.000, +2.000]; The "
        "interval includes zero at these: 30 steps at the tuned rate -0.250 [-1.000, +0.500]."
    ) in text


def test_findings_about_the_primary_measure(both_rates):
    frame = pd.DataFrame(rows_of("neuron_tuning_effect", both_rates))
    primary, explored, *of_tasks = findings({"neuron_tuning_effect": frame}, 80)
    assert "brings +0.0 [-25.0, +50.0] points more" in primary and "mean over 3 tasks" in primary
    assert primary.endswith("own neurons are neither shown to be better nor worse.")
    assert "less random at the common rate +25.0 [+25.0, +25.0]" in explored
    assert "less other-family at the common rate +" in explored and "tuned" not in explored
    assert [text.split()[2] for text in of_tasks] == ["tuned", "common"]
    frame.loc[frame["measure"] == "primary", ["ci_low", "ci_high"]] = 1.0, 2.0
    assert findings({"neuron_tuning_effect": frame}, 80)[0].endswith("own neurons are better.")
    frame.loc[frame["measure"] == "primary", ["ci_low", "ci_high"]] = -2.0, -1.0
    assert findings({"neuron_tuning_effect": frame}, 80)[0].endswith("own neurons are worse.")
    frame["measure"] = "exploratory"
    assert "less random at the tuned rate" in findings({"neuron_tuning_effect": frame}, 80)[0]


def test_seeds_and_draws_are_averaged_before_examples_are_resampled(files, tmp_path):
    """Two trainings by two draws that differ, but whose mean is 0.5 on every example: an interval without width."""
    runs = [
        {"own-tuned": [1, 1, 0, 1], "random-0-tuned": [1, 0, 1, 0], "random-1-tuned": [0, 0, 0, 1]},
        {"own-tuned": [1, 0, 0, 1], "random-0-tuned": [1, 1, 0, 0], "random-1-tuned": [0, 1, 1, 1]},
    ]
    files["tuned_predictions"] = [
        predictions_file(tmp_path / f"seed{seed}.parquet", "a", conditions) for seed, conditions in enumerate(runs)
    ]
    only_a = {"a": TASKS["a"]}
    rows = rows_of("neuron_tuning", files, only_a)
    drawn, own = (cell(rows, method=method) for method in METHODS[1:])
    assert (drawn["value"], drawn["ci_low"], drawn["ci_high"]) == (50, 50, 50)
    assert (drawn["n_seeds"], drawn["n_draws"], own["value"], own["n_draws"]) == (2, 2, 62.5, 0)
    assert own["ci_low"] < 62.5 < own["ci_high"]
    (effect,) = rows_of("neuron_tuning_effect", files, only_a)
    assert (effect["value"], effect["n_seeds"], effect["n_draws"]) == (12.5, 2, 2)
    assert (effect["ci_low"], effect["ci_high"]) == (own["ci_low"] - 50, own["ci_high"] - 50)


def test_cross_task_tuning(files):
    rows = rows_of("cross_task_tuning", files)
    assert len(rows) == 9 and {row["reading"] for row in rows} == {"own-data"}
    own = cell(rows, tuned_task="A", task="A")
    assert (own["value"], own["change"], own["n_test"]) == (0, -100, 2)
    assert cell(rows, tuned_task="A", task="C")["change"] == 50
    for tested in TUNED:
        path = files["tuned_predictions"][list(TUNED).index(tested)]
        frame, made = read_frame(path, "predictions")
        other = frame[frame["condition"].isin(set(TUNED) - {tested})]
        crossed = other.assign(condition=other["condition"] + f"-on-{tested}", score=1.0)
        write_frame(path, pd.concat([frame, crossed]), "predictions", made)
    rows = rows_of("cross_task_tuning", files)
    assert len(rows) == 18
    assert cell(rows, tuned_task="A", task="B", reading="tested-data")["value"] == 100
    assert cell(rows, tuned_task="A", task="A", reading="tested-data")["value"] == 0


def test_single_task_proportion(files):
    rows = proportion_rows(files)
    assert [(row["proportion_pct"], row["value"], row["n_seeds"]) for row in rows] == [
        (0, 75, 0),
        (10, 50, 1),
        (100, 100, 1),
    ]


def test_cross_task_uses_the_same_examples_for_value_and_change(files):
    rows = rows_of("cross_task_deactivation", files)
    assert len(rows) == 9
    own = cell(rows, masked_task="A", task="A")
    assert (own["value"], own["change"], own["n_test"]) == (0, -100, 2)
    other = cell(rows, masked_task="B", task="A")
    assert (other["value"], other["change"]) == (50, -50)


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
    """Of 10 + 30 neurons A has the first eight, B eight from the fifth on, C the last four."""
    chosen, masks = {"a": range(8), "b": range(4, 12), "c": range(36, 40)}, []
    for task, neurons in chosen.items():
        masks.append(tmp_path / f"{task}.parquet")
        write_mask(masks[-1], NeuronSet(np.isin(np.arange(40), neurons), (10, 30)), [None, None], None, {"set": task})
    layers = rows_of("neurons_per_layer", {"masks": masks})
    assert [(row["task"], row["layer"], row["n_neurons"]) for row in layers] == [
        *(("A", 0, 8), ("A", 1, 0), ("B", 0, 6), ("B", 1, 2), ("C", 0, 0), ("C", 1, 4)),
    ]
    assert [row["value"] for row in layers] == pytest.approx([80, 0, 60, 200 / 30, 0, 400 / 30])
    pairs = rows_of("jaccard", {"masks": masks})
    assert len(pairs) == 9
    for one, other, value, chance in (
        *(("A", "A", 100, 100), ("A", "B", 100 * 4 / 12, 100 * 0.04 / 0.36)),
        *(("B", "A", 100 * 4 / 12, 100 * 0.04 / 0.36), ("A", "C", 0, 100 * 0.02 / 0.28)),
    ):
        row = cell(pairs, task=one, other_task=other)
        assert (row["value"], row["chance"]) == pytest.approx((value, chance))


def test_overlap_rate_against_brute_force(tmp_path):
    widths, rng = (20, 20), np.random.default_rng(1)
    scores = {task: rng.random(40) for task in "abcd"}
    paths: dict[str, list] = {"scores": [], "score_replicates": []}
    for task, values in scores.items():
        made = {"model": "m", "task": task, "widths": widths}
        frame = neuron_index(widths).assign(score=values)
        replicas = neuron_index(widths).assign(**{f"replicate_{n}": values + 0.1 * rng.random(40) for n in range(20)})
        for kind, content, name in (("scores", frame, "scores"), ("score_replicates", replicas, "score replicates")):
            paths[kind].append(tmp_path / f"{kind}-{task}.parquet")
            write_frame(paths[kind][-1], content, name, made)
    groups = {"train": {"CLS": ["a", "b"]}, "test": {"CLS": ["c", "d"]}}
    rows = rows_of("overlap_rate", paths, {}, {"groups": groups, "overlap.proportions": [10, 30, 100]})
    assert [row["n_seeds"] for row in rows] == [1, 1, 1]
    for row in rows:
        top = {task: set(np.argsort(-values)[: round(0.4 * row["proportion_pct"])]) for task, values in scores.items()}
        train, test = top["a"] | top["b"], top["c"] | top["d"]
        assert row["value"] == pytest.approx(100 * len(train & test) / len(train | test))
        share, other = len(train) / 40, len(test) / 40
        assert row["chance"] == pytest.approx(100 * share * other / (share + other - share * other))
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert rows[0]["paper_llama"] == 20.8
    assert rows[2]["value"] == rows[2]["ci_low"] == rows[2]["chance"] == 100


def test_a_missing_task_is_told(files):
    with pytest.raises(UserError, match="no prediction file is of the task 'd'"):
        read_predictions(files["original_predictions"], {**TASKS, "d": TASKS["a"]})
    with pytest.raises(UserError, match="holds 'predictions', where 'damage' is needed"):
        rows_of("selection_damage", {**files, "damage": files["base_predictions"], "specificity": []})


def test_a_method_that_there_is_not_is_no_method():
    one = Predictions("a", TASKS["a"], {"none": np.ones((1, 2)), "a": np.zeros((1, 2))}, {})
    assert (one.method_conditions("original"), one.method_conditions("deactivate-task")) == (["none"], ["a"])
    for method in ("none", "deactivate-tasks", "train"):
        with pytest.raises(KeyError, match=method):
            one.method_conditions(method)


def test_csv_and_parquet_hold_the_same(files, tmp_path):
    out = {"parquet": tmp_path / "t.parquet", "csv": tmp_path / "t.csv"}
    settings = settings_of("deactivation", config={"tables.bootstrap": 7})
    write.main(settings, **out, **inputs_of("deactivation", files))
    frame, provenance = read_frame(out["parquet"], "table")
    assert provenance["spec"] == settings.spec() and provenance["spec"]["config"]["tables.bootstrap"] == 7
    expected = pd.DataFrame(rows_of("deactivation", files, config={"tables.bootstrap": 7}))
    pd.testing.assert_frame_equal(frame, expected)
    text = pd.read_csv(out["csv"])
    assert list(text.columns) == list(frame.columns)
    for column in ("value", "ci_low", "ci_high"):
        assert np.allclose(text[column], frame[column], rtol=0, atol=0.00005)


def compared_file(path: Path, task: str) -> Path:
    """What specificity measures on a task: contrastive sets raise its loss by 2, wholly by the mean by 4."""
    ways = [("zero", "zero", 2.0), ("mean", "mean", 4.0), ("zero", "mean", 7.0), ("mean", "zero", 8.0)]
    rows = [("none", 0.0, "none", "none", "none", 0, "none", 1.0)]
    for reference, ablation, rise in ways:
        rows += [("contrastive", 3.0, reference, "k", own, 0, ablation, 1 + rise) for own in TASKS]
        rows += [("contrastive", 3.0, reference, "own damage", own, 0, ablation, 100.0) for own in TASKS]
        rows.append(("universal", 10.0, reference, "k", "a", 0, ablation, 100.0))
    rows += [("random", 10.0, "none", "k", f"random-{draw}", draw, "zero", 1 + draw / 2) for draw in (0, 1)]
    rows += [("random", 10.0, "none", "k", f"random-{draw}", draw, "mean", 50.0) for draw in (0, 1)]
    names = ["rule", "k", "reference", "matching", "masked_task", "draw", "ablation", "value"]
    frame = pd.DataFrame(rows, columns=names).assign(n_neurons=7, measure="loss")
    both = pd.concat([frame.assign(id=number) for number in range(2)])
    write_frame(path, both, "damage", {"task": task})
    return path


def test_damage_by_hand(files, tmp_path):
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
    compared = [compared_file(tmp_path / f"compared-{task}.parquet", task) for task in TASKS]
    found = rows_of("selection_damage", {**files, "damage": paths, "specificity": compared})
    own = cell(found, rule="r", masked_task="A", relation="own", measure="loss")
    assert (own["value"], own["ci_low"], own["ci_high"], own["n_neurons"], own["n_test"]) == (2, 1, 3, 4, 2)
    assert cell(found, rule="r", masked_task="A", relation="family", measure="loss")["value"] == 0
    assert cell(found, rule="r", masked_task="A", relation="other", measure="loss")["value"] == 0.5
    assert not [row for row in found if row["masked_task"] == "C" and row["relation"] == "family"]
    drawn = cell(found, rule="random", k=3.0, masked_task="B", relation="own", measure="loss")
    assert (drawn["value"], drawn["n_neurons"]) == (0.5, 5)
    # The main job's predictions: A with its own set off falls from (1, 1) to (0, 0) on the two examples of the matrix.
    assert cell(found, rule="global", masked_task="A", relation="own", measure="score")["value"] == 100
    # What is measured for specificity, as the run chooses and switches off.
    assert {row["rule"] for row in found} == {"r", "random", "global", "contrastive"}
    assert {row["value"] for row in found if row["rule"] == "contrastive"} == {2.0}
    assert cell(found, rule="random", k=10.0, masked_task="B", relation="own", measure="loss")["value"] == 0.25
    config = {"ablation": "mean", "attribution.reference": "mean"}
    other = rows_of("selection_damage", {**files, "damage": paths, "specificity": compared}, config=config)
    assert {row["value"] for row in other if row["rule"] == "contrastive"} == {4.0}


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
    rows = rows_of("faithfulness", {"faithfulness": [tmp_path / "a.parquet"]})
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
    (row,) = rows_of("stability", {"subset_scores": [tmp_path / "s.parquet"]}, config={"selection.k": 20})
    assert (row["n_examples"], row["largest"], row["n_repeats"]) == (2, 100, 2)
    assert row["smallest"] == pytest.approx(100 / 3)
    assert row["value"] == pytest.approx(200 / 3)
    assert row["chance"] == pytest.approx(100 * 0.04 / 0.36)


def test_findings_say_what_the_tables_show(files):
    made = ("deactivation_means", "deactivation_effect", "cross_task_deactivation")
    tuned = ("neuron_tuning_means", "neuron_tuning_effect", "cross_task_tuning")
    frames = {name: pd.DataFrame(rows_of(name, files)) for name in (*made, *tuned)}
    frames["single_task_proportion"] = pd.DataFrame(proportion_rows(files))
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
    text = " ".join(findings(frames, 80))
    assert "from 75.0 to 12.5 with a task's own neurons off and to 68.8" in text
    assert "in 0 of 1 cells below 100 %" in text
    # A falls to 0 with its own set alone; B ties on its own with nothing; C's own set leaves 25, b's none.
    assert "the set that hurts it most for 2 of 3 tasks, and one of several that hurt it equally for 0" in text
    assert "of the task itself / the other tasks with the sets of k = 10 % off: global 2.00 / 1.00; random 0.25" in text
    assert "base model, mean over 1 tasks: attribution 0.90 (recall 0.80), random 0.00 (recall 0.10)" in text
    assert "55 % with 2, 85 % with 4 examples in each: 4 examples are enough for 80 % (with 4" in text
    assert "the least is 80 %, A); chance is 5 %" in text
    assert "from 75.0 to 25.0, training as many random ones in each layer to 50.0 (the paper, Llama-2-7b: 81.8" in text
    assert "at the tuned learning rate, brings the score, on average over the classification tasks" in text
    assert (
        "the tuned learning rate training a task's own neurons brings more than training random ones on 1 of 3" in text
    )
    # A and B lose by their own neurons; C, alone of its kind, has no other to compare with.
    assert "Among the 2 tasks measured by accuracy" in text
    assert "any of the others' does for 0, and raises none of the others as much for 0" in text
    assert "A 75.0 at 0 %, 50.0 at 10 %, 100.0 at 100 %." in text
    assert "no size tried is enough for 90 %" in " ".join(findings(frames, 90))
    frames["deactivation_effect"]["ci_low"] = -1
    assert "hurts more than switching off random ones on 0 of 3 tasks" in " ".join(findings(frames, 80))


def test_top_share_rounds_as_the_tables_say():
    assert len(top_share(np.arange(46_080.0), 10, (1536,) * 30)) == 4608


def test_small_numbers_survive_in_csv(tmp_path, monkeypatch):
    """A learning rate of 3e-5 is not 0."""
    one = SimpleNamespace(rows=lambda settings: [{"learning_rate": 3e-5, "value": 12.3456789, "n": 1234567}])
    monkeypatch.setattr(write, "named", lambda folder, name: one)
    files = {"parquet": tmp_path / "one.parquet", "csv": tmp_path / "one.csv"}
    write.main(TableSettings(table="one", tasks={}, config={}), **files)
    assert files["csv"].read_text() == "learning_rate,value,n\n3e-05,12.3457,1234567\n"
