"""Shards: a task's samples scored in several jobs and merged are the scores of one job, in every file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from taskneurons.attribution import merge, scores, shard
from taskneurons.config.settings import DeviceSettings, Subsets, TaskScoring
from taskneurons.core.artifacts import read_provenance, write_frame
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import LoadedModel

SETTINGS = {
    "attribution": TaskScoring(
        aggregation="sample", loss="mean", batch_size=2, batch_tokens=1000, bootstrap=4, shards=3
    ),
    "stability": Subsets(sizes=[1, 3], repeats=2),
    "seed": 0,
    "compute": DeviceSettings(),
}
FILES = ("scores", "bootstrap", "subsets")


@pytest.fixture
def data(tmp_path, loaded: LoadedModel, monkeypatch):
    """The attribution split of a task of seven examples; the model is at hand."""
    monkeypatch.setattr(scores, "load_model", lambda path, settings: loaded)
    words = ["the cat", "a dog saw the cat .", "yes", "maybe good", "bad", "review : great", "the dog sat on the mat ."]
    frame = pd.DataFrame({"prompt": words, "target": ["yes", "no", "maybe", "good", "bad", "yes", "no"]})
    frame["references"] = [[target] for target in frame["target"]]
    made = {"task": "words", "split": "attribution", "labels": [], "metric": "rougeL", "closing_words": ""}
    made |= {"tokens": {"prompt": 50, "target": 9}, "data_hash": "words", "lost": {}}
    write_frame(tmp_path / "data.parquet", frame, "task data", made)
    return tmp_path / "data.parquet"


def files(folder):
    return {name: folder / f"{name}.parquet" for name in FILES}


def settings_with(**changes):
    """The settings of the scores, with other keys of the attribution or of their own."""
    own = {key: value for key, value in changes.items() if key in SETTINGS}
    attribution = {key: value for key, value in changes.items() if key not in SETTINGS}
    return {**SETTINGS, **own, "attribution": SETTINGS["attribution"].model_copy(update=attribution)}


def shards(data, settings=SETTINGS):
    paths = []
    for number in range(settings["attribution"].shards):
        paths.append(data.parent / f"shard{number}.parquet")
        shard.main(
            shard.ShardSettings(**settings, shard=number), model=Path("model"), data=data, means=[], sums=paths[-1]
        )
    return paths


def test_merged_shards_are_one_jobs_scores(data):
    one_job, whole, parts = settings_with(shards=1), files(data.parent / "whole"), files(data.parent / "parts")
    scores.main(scores.AttributionSettings(**one_job), model=Path("model"), data=data, means=[], **whole)
    merge.main(scores.AttributionSettings(**SETTINGS), sums=shards(data), **parts)
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
    one, other = (read_provenance(paths["scores"], "scores") for paths in (whole, parts))
    for provenance in (one, other):
        del provenance["spec"], provenance["content"]
    assert one == other


def test_more_shards_than_examples_are_told(data):
    with pytest.raises(UserError, match=r"attribution\.shards is 8, but words has only 7"):
        shards(data, settings_with(shards=8))
