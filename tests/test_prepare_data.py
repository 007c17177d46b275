"""Data preparation: rendering, label words, splits apart, references merged, real data sets."""

import pandas as pd
import pytest
import yaml

from conftest import ROOT, SHARED
from taskneurons.checks.config import checked_config, data_of, needed_sizes
from taskneurons.config.settings import PreparedTask, ResolvedSource, TokenBudget
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.data.prepare import PrepareSettings, main, merge_equal_prompts, render, source_examples
from taskneurons.data.sources import shuffled_rows
from taskneurons.data.splits import SOURCE_SPLITS
from taskneurons.data.templates import closing_words, template_fields

CLASSIFY = PreparedTask(
    prompt="Text: {text}\nLabel:",
    target="label",
    labels={"0": "no", "1": "yes"},
    metric="accuracy",
    source=ResolvedSource(),
)
GENERATE = PreparedTask(
    prompt="{words} ->", target="sentence", labels=None, metric="rougeL", source=ResolvedSource(references="all")
)


def test_templates():
    assert template_fields("A: {a}\nB: {b}\nC:") == ["a", "b"]
    assert closing_words("A: {a}\nB: {b}\nC:") == "\nC:"
    assert closing_words("{a}") == ""


def test_rendering():
    example = render({"text": " hello ", "label": 1}, CLASSIFY)
    assert example == {"prompt": "Text: hello\nLabel:", "target": "yes", "references": ["yes"]}
    example = render({"words": ["a", "b"], "sentence": "b a", "all": ["b a", "a b"]}, GENERATE)
    assert example == {"prompt": "a, b ->", "target": "b a", "references": ["b a", "a b"]}


def test_braces_in_the_text_do_no_harm():
    assert render({"text": "{x} {0}", "label": 0}, CLASSIFY)["prompt"] == "Text: {x} {0}\nLabel:"


def test_an_unknown_label_is_told():
    with pytest.raises(UserError, match=r"'label' holds '7', which is not among the task's labels \(0, 1\)"):
        render({"text": "a", "label": 7}, CLASSIFY)


def test_equal_prompts_share_their_references():
    rows = [("p", "a"), ("q", "b"), ("p", "c"), ("taken", "d"), ("r", "e"), ("q", "f")]
    examples = [(str(n), {"prompt": prompt, "references": [text]}) for n, (prompt, text) in enumerate(rows)]
    taken = {"taken"}
    filled = merge_equal_prompts(examples, 2, taken, set(), all_references=True)
    assert [(e["prompt"], e["references"]) for e in filled.examples] == [("p", ["a", "c"]), ("q", ["b", "f"])]
    assert taken == {"taken", "p", "q"}


def write_source(folder, rows: dict[str, int]):
    for split, count in rows.items():
        frame = pd.DataFrame({"text": [f"{split} {n}" for n in range(count)], "label": [n % 2 for n in range(count)]})
        frame.to_parquet(folder / f"{split}.parquet")
    names = {"train": "train", "validation": "validation", "test": "test"}
    return CLASSIFY.model_copy(update={"source": ResolvedSource(local=str(folder), splits=names)})


def prompts(task, split, sizes):
    return [e["prompt"] for e in source_examples(task, split, sizes, seed=0).examples]


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


def test_training_leaves_some_of_a_small_source_for_attribution(tmp_path):
    """20 different train prompts, more asked for: 90 % of them train."""
    task = write_source(tmp_path, {"train": 20, "validation": 1, "test": 2})
    sizes = {"train": 500, "attribution": 5, "validation": 1, "test": 2}
    found = {split: prompts(task, split, sizes) for split in ("train", "attribution")}
    assert len(found["train"]) == 18
    assert [p.split()[1] for p in found["attribution"]] == ["train", "train"]  # validation is left for validation
    assert len(prompts(task, "validation", sizes)) == 1
    assert [len(prompts(task, "train", {**sizes, "train": size})) for size in (21, 20, 19, 7)] == [18, 20, 19, 7]


def test_one_file_is_split_by_the_seed(tmp_path):
    """80 : 10 : 10, each row in one split, whatever the splits' sizes; another seed splits otherwise."""
    pd.DataFrame({"text": [str(n) for n in range(100)], "label": [n % 2 for n in range(100)]}).to_csv(
        tmp_path / "all.csv", index=False
    )
    source = ResolvedSource(local=str(tmp_path / "all.csv"))
    parts = {
        split: [row["text"] for _, row in shuffled_rows(source, split, ["text", "label"], seed=0)]
        for split in ("train", "validation", "test")
    }
    assert [len(rows) for rows in parts.values()] == [80, 10, 10]
    assert len(set().union(*parts.values())) == 100
    assert parts["test"] != [row["text"] for _, row in shuffled_rows(source, "test", ["text"], seed=1)]
    sizes = {"train": 9, "attribution": 9, "validation": 9, "test": 9}
    task = CLASSIFY.model_copy(update={"source": source})
    found = [prompts(task, split, sizes) for split in SOURCE_SPLITS]
    assert [len(one) for one in found] == [9, 9, 9, 9]
    assert len(set().union(*map(set, found))) == 36


def test_validation_examples_can_be_the_rest_of_the_train_split(tmp_path):
    task = write_source(tmp_path, {"train": 20, "test": 5})
    names = {"train": "train", "validation": "train", "test": "test"}
    task = task.model_copy(update={"source": ResolvedSource(local=str(tmp_path), splits=names)})
    sizes = {"train": 8, "attribution": 5, "validation": 6, "test": 5}
    filled = {split: source_examples(task, split, sizes, seed=0) for split in SOURCE_SPLITS}
    found = {split: {example["prompt"] for example in one.examples} for split, one in filled.items()}
    assert {split: len(one) for split, one in found.items()} == sizes
    assert len(set().union(*found.values())) == 24
    assert all(count == 0 for one in filled.values() for count in one.lost.values())


def test_an_empty_split_is_told(tmp_path):
    task = write_source(tmp_path, {"train": 4, "validation": 1, "test": 2})
    settings = PrepareSettings(
        key="t",
        split="validation",
        task=task,
        sizes={"train": 4, "attribution": 2, "test": 2, "validation": 1},
        seed=0,
        tokens=TokenBudget(),
    )
    with pytest.raises(UserError, match=r"the split 'validation' of 't' is empty"):
        main(settings, sources=[], data=tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


REAL = {
    name: yaml.safe_load((ROOT / f"workflow/presets/{name}.yaml").read_text())
    for name in ("paper-tasks", "continual-tasks")
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets beside the project are absent")
@pytest.mark.parametrize(("tasks", "key"), [(name, key) for name, tasks in REAL.items() for key in tasks])
def test_real_data_sets(tasks, key, tmp_path):
    config = yaml.safe_load((ROOT / "workflow/presets/smollm2-135m.yaml").read_text())
    config["model"]["source"] = {"hub": "someone/model", "revision": "main"}
    config["data"]["sizes"] = {"train": 240, "attribution": 64, "validation": 40, "test": 100}
    config["tasks"] = {**REAL["paper-tasks"], **REAL[tasks]}
    task = checked_config({**config, "data_root": str(SHARED)}, ROOT).tasks[key]
    sizes = task.sizes.model_dump()
    seen: set[str] = set()
    for split in SOURCE_SPLITS:
        settings = PrepareSettings(
            key=key,
            split=split,
            task=data_of(task, split),
            sizes=needed_sizes(task, split),
            tokens=task.tokens,
            seed=0,
        )
        main(settings, sources=[], data=tmp_path / f"{split}.parquet")
        frame, provenance = read_frame(tmp_path / f"{split}.parquet", "task data")
        # CNN's local copy is small; twelve of SciQ's test answers, which are all its prompt holds, occur in training
        fewer = {("cnn", "test"): 60, ("cnn", "validation"): 19, ("sciqa", "test"): 88}
        expected = fewer.get((key, split), sizes[split])
        assert len(frame) == expected
        assert not seen & set(frame["prompt"])
        seen |= set(frame["prompt"])
        assert provenance["metric"] == task.data.metric
        assert frame["target"].str.len().min() > 0
        if key in ("e2e", "commongen") and split == "test":
            assert frame["references"].map(len).max() > 1
