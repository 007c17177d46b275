"""Shards: a task's samples scored in several jobs and merged are the scores of one job, in every file."""

import argparse

import numpy as np
import pandas as pd
import pytest

from taskneurons import attribution, attribution_shard, merge_attribution
from taskneurons.core.artifacts import write_frame
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import LoadedModel

SPEC = {
    "attribution": {
        **{"aggregation": "sample", "loss": "mean", "batch_size": 2, "batch_tokens": 1000},
        **{"bootstrap": 4, "shards": 3},
    },
    "stability": {"sizes": [1, 3], "repeats": 2},
    "seed": 0,
    "compute": {},
}
FILES = ("scores", "bootstrap", "subsets")


@pytest.fixture
def data(tmp_path, loaded: LoadedModel, monkeypatch):
    """The attribution split of a task of seven examples; the model is at hand."""
    for module in (attribution, attribution_shard):
        monkeypatch.setattr(module, "load_model", lambda path, settings: loaded, raising=False)
    words = ["the cat", "a dog saw the cat .", "yes", "maybe good", "bad", "review : great", "the dog sat on the mat ."]
    frame = pd.DataFrame({"prompt": words, "target": ["yes", "no", "maybe", "good", "bad", "yes", "no"]})
    frame["references"] = [[target] for target in frame["target"]]
    facts = {"task": "words", "labels": [], "metric": "rougeL", "tokens": {"prompt": 50, "target": 9}}
    write_frame(tmp_path / "data.parquet", frame, "task data", {**facts, "closing_words": "", "data_hash": "words"})
    return tmp_path / "data.parquet"


def files(folder):
    return {name: folder / f"{name}.parquet" for name in FILES}


def shards(data, spec):
    paths = []
    for shard in range(spec["attribution"]["shards"]):
        paths.append(data.parent / f"shard{shard}.parquet")
        options = {"spec": spec, "model": "model", "data": data, "shard": shard, "out": paths[-1]}
        attribution_shard.main(argparse.Namespace(**options))
    return paths


def test_merged_shards_are_one_jobs_scores(data):
    spec = {**SPEC, "attribution": {**SPEC["attribution"], "shards": 1}}
    whole, parts = files(data.parent / "whole"), files(data.parent / "parts")
    attribution.main(argparse.Namespace(spec=spec, model="model", data=data, **whole))
    merge_attribution.main(argparse.Namespace(spec=SPEC, sums=shards(data, SPEC), **parts))
    for name in FILES:
        one, other = pd.read_parquet(whole[name]), pd.read_parquet(parts[name])
        assert list(one.columns) == list(other.columns)
        np.testing.assert_allclose(
            one.drop(columns="expert").to_numpy(float),
            other.drop(columns="expert").to_numpy(float),
            rtol=1e-4,
            atol=1e-9,
        )
    assert pd.read_parquet(whole["scores"])["score"].gt(0).any()


def test_shards_that_do_not_fit_together_are_told(data):
    first = shards(data, SPEC)[0].rename(data.parent / "first.parquet")
    with pytest.raises(UserError, match=r"was not made as"):
        merge_attribution.merged([first, *shards(data, {**SPEC, "seed": 1})[1:]])


def test_missing_and_doubled_shards_are_told(data):
    paths = shards(data, SPEC)
    with pytest.raises(UserError, match=r"no file holds shard 1 of words"):
        merge_attribution.merged([paths[0], paths[2]])
    with pytest.raises(UserError, match=r"holds shard 0, which .* holds already"):
        merge_attribution.merged([paths[0], paths[0]])


def test_more_shards_than_examples_are_told(data):
    with pytest.raises(UserError, match=r"attribution\.shards is 8, but words has only 7"):
        shards(data, {**SPEC, "attribution": {**SPEC["attribution"], "shards": 8}})
