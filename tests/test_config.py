"""Wrong input gets one clear message before any work."""

import copy
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from conftest import ROOT, SHARED
from taskneurons.checks.config import checked_config
from taskneurons.core.errors import UserError

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())


def check(change) -> dict:
    config = copy.deepcopy(DEFAULT)
    change(config)
    return checked_config(config, ROOT)


def local_task(folder: Path, **changes):
    task = {
        "name": "Mine",
        "family": "f",
        "counterpart": None,
        "source": {"local": {"path": str(folder)}},
        "prompt": "{question} :",
        "target": "answer",
        "metric": "rougeL",
    }
    return {**task, **changes}


def write_splits(folder: Path, suffix: str = "parquet") -> Path:
    frame = pd.DataFrame({"question": ["a", "b"], "answer": ["c", "d"]})
    folder.mkdir(exist_ok=True)
    for split in ("train", "validation", "test"):
        path = folder / f"{split}.{suffix}"
        if suffix == "parquet":
            frame.to_parquet(path)
        elif suffix == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_json(path, orient="records", lines=True)
    return folder


def test_the_default_is_right():
    assert len(checked_config(DEFAULT, ROOT)["tasks"]) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(sed=1),
            r"config: Additional properties are not allowed \('sed' was unexpected\); there are run, seed, ",
        ),
        (
            lambda c: c["neuron_tuning"]["proportions"].update(percents=[1, 200]),
            r"neuron_tuning: proportions: percents\[1\]: 200 is greater than the maximum of 100",
        ),
        (
            lambda c: c["neuron_tuning"]["proportions"].update(tasks="film_reviews"),
            r"neuron_tuning: proportions: tasks: 'film_reviews' is not all, or a list of tasks",
        ),
        (lambda c: c["selection"].update(k=0), r"config: selection: k: 0 is too small: it has to be above 0"),
        (lambda c: c["selection"].update(k=101), r"config: selection: k: 101 is greater than the maximum of 100"),
        (
            lambda c: c["overlap"]["groups"]["CLS-CLS"].update(train=["film_revews"]),
            r"overlap: groups: CLS-CLS: train: there is no task 'film_revews'; there are film_reviews, ",
        ),
        (
            lambda c: c["training"].update(learning_rate="1e-4"),
            r"config: training: learning_rate: '1e-4' is not of type 'number' .*as in 1\.0e-4",
        ),
        (
            lambda c: c["model"].update(source={"hub": "someone/model"}),
            r"config: model: source: give exactly one of pretrain .*, hub with revision, path, or gguf; it has hub\.",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(labels={"negative": False, "positive": "positive"}),
            r"labels: negative: False is not of type 'string' \(YAML reads yes, no, .* in quotes\)",
        ),
        (lambda c: c["training"].update(learning_rate=float("nan")), r"config: holds \.nan or \.inf"),
        (
            lambda c: c["model"]["source"]["pretrain"]["architecture"].update(num_attention_heads=7),
            r"architecture: hidden_size \d+ is not a multiple of twice num_attention_heads \(7\)",
        ),
        (
            lambda c: c.update(tasks={"film_reviews": c["tasks"]["film_reviews"]}),
            r"config: tasks: .* enough properties",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(prompt="{text} :"),
            r"tasks: film_reviews: the suite's task has no column 'text'; it has review, label",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(source={"suite": "films"}),
            r"the suite has no task 'films'; it has film_reviews, ",
        ),
        (lambda c: c["tasks"]["film_reviews"].pop("labels"), r"film_reviews: metric 'accuracy' needs labels"),
        (
            lambda c: c["tasks"]["film_reviews"].update(labels={"negative": "bad", "positive": "bad"}),
            r"film_reviews: labels: two labels have the same word",
        ),
        (lambda c: c["tasks"]["film_reviews"].update(name="DishReviews"), r"have the same name, 'DishReviews'"),
        (
            lambda c: c["tasks"]["film_reviews"].update(counterpart="SST2"),
            r"counterpart: the paper has no task 'SST2'; it has AmazonFood, ",
        ),
        (lambda c: c["tasks"]["film_reviews"].update(prompt="{review"), r"prompt: '{review' is no template"),
        (lambda c: c["tasks"]["film_reviews"].update(prompt="{review} : "), r"prompt: ends in white space"),
        (
            lambda c: c["overlap"]["groups"]["CLS-CLS"].update(test=["film_reviews"]),
            r"CLS-CLS: film_reviews is in both train and test",
        ),
        (lambda c: c["model"].update(source={"path": "no/such"}), r"no/such holds no config\.json"),
        (lambda c: c["model"].update(source={"gguf": "no.gguf"}), r"GGUF file no\.gguf does not exist"),
        (lambda c: c.update(weights="no.gguf"), r"GGUF file no\.gguf does not exist"),
        (
            lambda c: c["stability"].update(sizes=[60]),
            r"stability: sizes: two disjoint sets of 60 examples need more than the 100 .* of film_reviews",
        ),
        (lambda c: c["damage"].update(rules={"random": [3]}), r"damage: rules: give at least one rule beside random"),
        (
            lambda c: c["neuron_tuning"]["proportions"].update(tasks=["films"]),
            r"neuron_tuning: proportions: tasks: there is no task 'films'; there are film_reviews, ",
        ),
        (
            lambda c: c["training"].update(patience=2),
            r"training: patience: 2 epochs .* cannot be seen with validation: 0",
        ),
        (
            lambda c: c["neuron_tuning"]["training"].update(validation=101),
            r"neuron_tuning: training: validation: 101 is more than the 100 validation examples of film_reviews",
        ),
        (lambda c: c.update(tasks="no.yaml"), r"the file no\.yaml does not exist"),
    ],
)
def test_one_clear_message(change, message):
    with pytest.raises(UserError, match=message):
        check(change)


def test_a_learning_rate_without_a_point_is_read_as_text_by_yaml():
    assert yaml.safe_load("lr: 1e-4") == {"lr": "1e-4"}


def test_mixtures_of_experts_go_without_neuron_tuning(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mixtral"}))

    def mixture(config):
        config["model"].update(source={"path": str(tmp_path)})

    with pytest.raises(
        UserError, match=r"neuron_tuning: is not available for mixtures of experts \(mixtral\): set neuron_tuning: null"
    ):
        check(mixture)
    check(lambda config: (mixture(config), config.pop("neuron_tuning")))
    check(lambda config: (mixture(config), config.update(neuron_tuning=None)))


def test_an_unsupported_family_is_told_with_the_supported_ones(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "rwkv"}))
    with pytest.raises(
        UserError, match=r"'rwkv' is not supported; supported are bloom, .* llama, .*docs/new-family\.md"
    ):
        check(lambda c: c["model"].update(source={"path": str(tmp_path)}))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_local_data_in_every_format(tmp_path, suffix):
    folder = write_splits(tmp_path / "data", suffix)
    check(lambda c: c["tasks"].update(mine=local_task(folder)))
    with pytest.raises(UserError, match=r"mine: .* has no column 'title'; it has question, answer"):
        check(lambda c: c["tasks"].update(mine=local_task(folder, prompt="{title} :")))


def test_absent_data_is_told(tmp_path):
    with pytest.raises(UserError, match=r"the data folder .*nowhere does not exist"):
        check(lambda c: c["tasks"].update(mine=local_task(tmp_path / "nowhere")))
    (tmp_path / "test.parquet").touch()
    with pytest.raises(UserError, match=r"holds no train\.parquet, \.json, \.jsonl or \.csv; it holds test\.parquet"):
        check(lambda c: c["tasks"].update(mine=local_task(tmp_path)))


def test_a_data_root_chooses_the_local_source(tmp_path):
    write_splits(tmp_path / "mine")
    source = {"hub": {"id": "someone/data", "revision": "main"}, "local": {"path": "mine"}}
    hub = check(lambda c: c["tasks"].update(mine=local_task(tmp_path, source=source)))
    assert hub["tasks"]["mine"]["source"]["hub"]["id"] == "someone/data"
    local = check(
        lambda c: (c["tasks"].update(mine=local_task(tmp_path, source=source)), c.update(data_root=str(tmp_path)))
    )
    assert local["tasks"]["mine"]["source"]["local"]["path"] == str(tmp_path / "mine")


@pytest.mark.parametrize("preset", ["smollm2-135m", "real-smoke"])
def test_presets_are_right(preset):
    if preset == "real-smoke" and not SHARED.is_dir():
        pytest.skip("the real inputs beside the project are absent")
    config = yaml.safe_load((ROOT / "workflow" / "presets" / f"{preset}.yaml").read_text())
    if preset == "real-smoke":
        config["data_root"] = str(SHARED)
    assert len(checked_config(config, ROOT)["tasks"]) == 12
