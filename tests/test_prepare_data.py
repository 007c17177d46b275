"""Data preparation: rendering, label words, splits apart, references merged, real data sets."""

import json

import pandas as pd
import pytest
import yaml

from conftest import ROOT, SHARED
from taskneurons.checks.config import checked_config, data_settings, needed_sizes
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.data.prepare import merge_equal_prompts, prepare, render, source_examples
from taskneurons.data.splits import SOURCE_SPLITS
from taskneurons.data.templates import closing_words, template_fields

CLASSIFY = {"prompt": "Text: {text}\nLabel:", "target": "label", "labels": {"0": "no", "1": "yes"}, "source": {}}
GENERATE = {"prompt": "{words} ->", "target": "sentence", "labels": None, "source": {"references": "all"}}


def test_templates():
    assert template_fields("A: {a}\nB: {b}\nC:") == ["a", "b"]
    assert closing_words("A: {a}\nB: {b}\nC:") == "\nC:"
    assert closing_words("{a}") == ""


def test_rendering():
    example = render({"text": " hello ", "label": 1}, CLASSIFY)
    assert example == {"prompt": "Text: hello\nLabel:", "target": "yes", "label": 1, "references": ["yes"]}
    example = render({"words": ["a", "b"], "sentence": "b a", "all": ["b a", "a b"]}, GENERATE)
    assert example == {"prompt": "a, b ->", "target": "b a", "label": None, "references": ["b a", "a b"]}


def test_braces_in_the_text_do_no_harm():
    assert render({"text": "{x} {0}", "label": 0}, CLASSIFY)["prompt"] == "Text: {x} {0}\nLabel:"


def test_an_unknown_label_is_told():
    with pytest.raises(UserError, match=r"'label' holds '7', which is not among the task's labels \(0, 1\)"):
        render({"text": "a", "label": 7}, CLASSIFY)


def test_equal_prompts_share_their_references():
    rows = [("p", "a"), ("q", "b"), ("p", "c"), ("taken", "d"), ("r", "e"), ("q", "f")]
    examples = [{"prompt": prompt, "references": [text], "label": None} for prompt, text in rows]
    taken = {"taken"}
    kept = merge_equal_prompts(iter(examples), 2, taken, all_references=True)
    assert [(e["prompt"], e["references"]) for e in kept] == [("p", ["a", "c"]), ("q", ["b", "f"])]
    assert taken == {"taken", "p", "q"}


def write_source(folder, rows: dict[str, int]):
    for split, count in rows.items():
        frame = pd.DataFrame({"text": [f"{split} {n}" for n in range(count)], "label": [n % 2 for n in range(count)]})
        frame.to_parquet(folder / f"{split}.parquet")
    names = {"train": "train", "validation": "validation", "test": "test"}
    return {**CLASSIFY, "source": {"local": {"path": str(folder)}, "splits": names}, "metric": "accuracy"}


def prompts(task, split, sizes):
    return [e["prompt"] for e in source_examples(task, split, sizes, seed=0)]


def test_attribution_follows_training_and_falls_back_on_validation(tmp_path):
    task = write_source(tmp_path, {"train": 10, "validation": 9, "test": 5})
    sizes = {"train": 8, "attribution": 5, "validation": 4, "test": 5}
    found = {split: prompts(task, split, sizes) for split in SOURCE_SPLITS}
    assert [p.split()[1] for p in found["attribution"]] == ["train"] * 2 + ["validation"] * 3
    assert [len(found[split]) for split in SOURCE_SPLITS] == [8, 5, 5, 4]
    assert len(set().union(*map(set, found.values()))) == 22


def test_a_later_split_changes_nothing_in_an_earlier_one(tmp_path):
    task = write_source(tmp_path, {"train": 20, "validation": 9, "test": 9})
    small = {"train": 8, "attribution": 5, "validation": 4, "test": 5}
    large = {**small, "validation": 8}
    for split in ("train", "attribution", "test"):
        assert prompts(task, split, small) == prompts(task, split, large)


def test_a_prompt_of_the_train_split_is_no_test_example(tmp_path):
    task = write_source(tmp_path, {"train": 4, "validation": 2, "test": 2})
    frame = pd.DataFrame({"text": ["train 0", "train 1", "new"], "label": [0, 1, 0]})
    frame.to_parquet(tmp_path / "test.parquet")
    sizes = {"train": 4, "attribution": 1, "validation": 1, "test": 3}
    assert prompts(task, "test", sizes) == ["Text: new\nLabel:"]


def test_an_empty_split_is_told(tmp_path):
    task = write_source(tmp_path, {"train": 4, "validation": 1, "test": 2})
    spec = {
        "key": "t",
        "task": task,
        "sizes": {"train": 4, "attribution": 2, "test": 2, "validation": 1},
        "seed": 0,
        "tokens": {},
    }
    with pytest.raises(UserError, match=r"the split 'validation' of 't' is empty"):
        prepare(spec, "validation", tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


REAL = yaml.safe_load((ROOT / "workflow/presets/paper-tasks.yaml").read_text())


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets beside the project are absent")
@pytest.mark.parametrize("key", REAL)
def test_real_data_sets(key, tmp_path):
    config = yaml.safe_load((ROOT / "workflow/presets/smollm2-135m.yaml").read_text())
    config["model"]["source"] = {"hub": "someone/model", "revision": "main"}
    config = checked_config({**config, "data_root": str(SHARED)}, ROOT)
    task, sizes = config["tasks"][key], config["data"]["sizes"]
    seen: set[str] = set()
    for split in SOURCE_SPLITS:
        spec = {
            "key": key,
            "task": data_settings(task, split),
            "sizes": needed_sizes(task, split, sizes),
            "tokens": config["data"]["tokens"],
            "seed": 0,
        }
        prepare(json.loads(json.dumps(spec)), split, tmp_path / f"{split}.parquet")
        frame, metadata = read_frame(tmp_path / f"{split}.parquet", "task data")
        # CNN's local copy is small; twelve of SciQ's test answers, which are all its prompt holds, occur in training
        fewer = {("cnn", "test"): 60, ("cnn", "validation"): 19, ("sciqa", "test"): 88}
        expected = fewer.get((key, split), sizes[split])
        assert len(frame) == expected
        assert not seen & set(frame["prompt"])
        seen |= set(frame["prompt"])
        assert metadata["metric"] == task["metric"]
        assert frame["target"].str.len().min() > 0
        if key in ("e2e", "commongen") and split == "test":
            assert frame["references"].map(len).max() > 1
