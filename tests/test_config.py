"""Wrong input gets one clear message before any work."""

import copy
import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import yaml

from conftest import ROOT, SHARED
from reliability.configs import HARMLESS, REFUSED, try_all
from reliability.model_folders import model_folder
from taskneurons.checks.config import Run, checked_config
from taskneurons.checks.gguf import gguf_family
from taskneurons.config.settings import percent_text
from taskneurons.core.errors import UserError
from taskneurons.report.contents import TABLES, left_out, shown

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())


MINIMAL = {
    "run": "mine",
    "model": {"name": "m", "source": {"hub": "someone/model", "revision": "main"}},
    "tasks": {
        "mine": {"family": "f", "source": {"suite": "town_news"}, "prompt": "{report} :", "target": "summary"},
    },
}


def check(change) -> Run:
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
    run = checked_config(DEFAULT, ROOT)
    assert list(run.tasks) == list(DEFAULT["tasks"]) and run.warnings == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(sed=1),
            r"config: sed: there is no such key \(did you mean seed\?\); there are run, seed, ",
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
            lambda c: c["groups"]["train"].update(CLS=["film_revews"]),
            r"groups: train: CLS: there is no task 'film_revews'; there are film_reviews, ",
        ),
        (
            lambda c: c["training"].update(learning_rate="fast"),
            r"config: training: learning_rate: 'fast' is not a number",
        ),
        (
            lambda c: c["model"].update(source={"hub": "someone/model"}),
            r"config: model: source: hub needs a revision: a branch \(main\), a tag or a commit",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(labels={"negative": False, "positive": "positive"}),
            r"labels: negative: False is not a text \(YAML reads yes, no, .* in quotes\)",
        ),
        (
            lambda c: c["training"].update(learning_rate=float("nan")),
            r"config: training: learning_rate: nan is no finite number",
        ),
        (lambda c: c["training"].update(epochs="inf"), r"config: training: epochs: 'inf' is not a whole number"),
        (
            lambda c: c["model"]["source"]["pretrain"]["architecture"].update(num_attention_heads=7),
            r"architecture: hidden_size \d+ is not a multiple of twice num_attention_heads \(7\)",
        ),
        (lambda c: c["training"].update(epochs=True), r"training: epochs: True is not a number \(YAML reads yes, no"),
        (lambda c: c["training"].update(epochs=1.5), r"training: epochs: 1\.5 is not a whole number"),
        (
            lambda c: c["model"]["source"].update(path="models/m"),
            r"source: give exactly one of pretrain .*, hub with revision, path, or gguf; it has path, pretrain\.",
        ),
        (lambda c: c.update(selection=None), r"config: selection: is empty: give a value, or leave the key out"),
        (lambda c: c.update(model=None), r"config: model: is empty: give a value$"),
        (lambda c: c["tasks"]["film_reviews"].update(family=None), r"film_reviews: family: is empty: give a value$"),
        (
            lambda c: c.update(neuron_tuning=False),
            r"config: neuron_tuning: False is not a mapping .*: write null to do",
        ),
        (
            lambda c: c["compute"].update(device="mps"),
            r"compute: device: 'mps' does not fit: write auto, cpu, cuda, cuda:0 \(or another number\), or spread$",
        ),
        (lambda c: c["compute"].update(device="cuda:٣"), r"compute: device: 'cuda:٣' does not fit"),
        (
            lambda c: c["compute"].update(tuning_threads=1_000_000),
            r"tuning_threads: 1000000 is greater than the maximum of 1024",
        ),
        (lambda c: c["training"].update(seeds=[2**32]), r"seeds\[0\]: is too large: at most 4294967295"),
        (lambda c: c.update(seed=10**5000), r"config: seed: is too large a number: it has 16610 bits"),
        (
            lambda c: c["attribution"].update(shards=101),
            r"attribution: shards: 101 is more than the 100 attribution ex",
        ),
        (lambda c: c["data"]["sizes"].update(attribution=1), r"attribution: 1 is less than the minimum of 2"),
        (lambda c: c.update(run="tiny\n"), r"config: run: 'tiny\\n' does not fit: take letters, digits, _, \. and -, "),
        (lambda c: c.update(run=".."), r"config: run: '\.\.' does not fit"),
        (lambda c: c.update(run="x" * 101), r"config: run: 'x+' is too long: at most 100 characters"),
        (
            lambda c: c["tasks"].update({"film\n": c["tasks"]["film_reviews"]}),
            r"config: tasks: 'film\\n': 'film\\n' does not fit: take lower-case letters, digits and _",
        ),
        (lambda c: c["damage"]["rules"].update({"global\n": [3]}), r"damage: rules: 'global\\n': .* does not fit"),
        (
            lambda c: c["tasks"].update(top10={**c["tasks"]["film_reviews"], "name": "Top"}),
            r"config: tasks: top10: a task may not be called so: the workflow calls the best neurons at some k so",
        ),
        (lambda c: c["selection"].update(k=1e-13), r"selection: k: 1e-13 has more than the 12 digits .* round it"),
        (
            lambda c: c["neuron_tuning"]["proportions"].update(percents=[10, 10 + 1e-13]),
            r"proportions: percents\[1\]: 10\.0000000000001 has more than the 12 digits behind the point",
        ),
        (lambda c: c["model"].update(name="a\0b"), r"model: name: holds the control character '\\x00': leave it out"),
        (lambda c: c["model"].update(name="a\nb"), r"model: name: holds the control character '\\n': leave it out"),
        (lambda c: c["model"].update(name=" "), r"model: name: is nothing but white space"),
        (lambda c: c["model"].update(name=3), r"model: name: 3 is not a text: write it in quotes"),
        (lambda c: c["model"].update(name="\ud800"), r"model: name: '\\ud800' holds half a character"),
        (lambda c: c["tasks"]["film_reviews"].update(name="_film"), r"name: '_film' begins with _, which figures'"),
        (lambda c: c["tasks"]["film_reviews"].update(family="a "), r"family: 'a ' begins or ends in white space"),
        (lambda c: c["tasks"]["film_reviews"].update(prompt="a\0{review}"), r"prompt: holds the control character"),
        (lambda c: c["tasks"]["film_reviews"].update(prompt="Film:"), r"prompt: 'Film:' names no column, so that all"),
        *(
            (lambda c, it=it: c["tasks"]["film_reviews"].update(prompt=f"{it} :"), r"in braces stands a column's name")
            for it in ("{}", "{0}", "{review!r}", "{review:d}", "{review:{label}}", "{review.text}", "{review[0]}")
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(labels={"negative": "  ", "positive": "good"}),
            r"film_reviews: labels: negative: is nothing but white space",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(labels={"negative": "so so", "positive": "so  so"}),
            r"labels: two labels have the same word, or words that differ in white space alone",
        ),
        *(
            (lambda c, it=it: c.update(data_root=it), rf"config: data_root: .*{said}")
            for it, said in (
                *(("a{b}", r"\{ in a path is taken for a pattern: rename"), ("a[1]", r"\[ in a path is taken")),
                *(("<results>", "<results> in a path is taken"), ("a\0", "holds the control character")),
                *(("x" * 241, "too long for a file's name"), ("x/" * 501, "too long for a path: at most 1000")),
            )
        ),
        (
            lambda c: c.update(run=date(2020, 1, 1)),
            r"config: run: datetime\.date\(2020, 1, 1\) is a date to YAML: write",
        ),
        (lambda c: c["training"].update(seeds={1}), r"config: training: seeds: \{1\} is a set to YAML: write a list"),
        (lambda c: c.update(run=b"tiny"), r"config: run: b'tiny' is binary to YAML: write it in quotes"),
        (
            lambda c: c["tasks"].update({date(2020, 1, 1): 1}),
            r"tasks: 2020-01-01: this key is a date to YAML: write it",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(labels={True: "a", False: "b"}),
            r"labels: True: this key is true or false to YAML: write it in quotes",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(labels={1: "a", "1": "b", 2: "c"}),
            r"labels: 1: is there twice, as a number and as a text",
        ),
        (lambda c: c["tasks"].update(source=dict(c["tasks"]["film_reviews"], nam="x")), r"source: nam: .* mean name\?"),
        (lambda c: c["training"].update(seeds=[0, 0]), r"config: training: seeds: 0 is there twice"),
        (lambda c: c["stability"].update(sizes=[3, 6, 3]), r"config: stability: sizes: 3 is there twice"),
        (
            lambda c: c["neuron_tuning"]["proportions"].update(percents=[10, 10.0]),
            r"neuron_tuning: proportions: percents: 10\.0 is there twice",
        ),
        (lambda c: c["training"].update(seeds=[]), r"training: seeds: is empty"),
        (lambda c: c["training"].update(schedule="cosine"), r"schedule: 'cosine' is not one of 'linear' or 'constant'"),
        (lambda c: c.pop("run"), r"config: run: is missing"),
        (lambda c: c.update(tasks={}), r"config: tasks: is empty"),
        (lambda c: c["tasks"]["film_reviews"].pop("family"), r"config: tasks: film_reviews: family: is missing"),
        (
            lambda c: c["damage"]["rules"].update(contrastiv=[3]),
            r"damage: rules: there is no rule 'contrastiv'; there are activation-entropy, contrastive, .* random",
        ),
        (
            lambda c: c["damage"].update(scored={"contrastive": [7]}),
            r"damage: scored: contrastive 7 is not among damage\.rules",
        ),
        (
            lambda c: c["tasks"].update(base=c["tasks"]["film_reviews"]),
            r"config: tasks: base: a task may not be called so: the workflow calls the base model so; take another",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(prompt="{text} :"),
            r"tasks: film_reviews: the suite's task has no column 'text'; it has review, label",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(source={"suite": "films"}),
            r"the suite has no task 'films'; it has film_reviews, ",
        ),
        (
            lambda c: c["tasks"]["film_reviews"].update(source={"suite": None}),
            r"film_reviews: source: is empty; give suite, hub or local",
        ),
        (
            lambda c: (c["tasks"]["film_reviews"].pop("labels"), c["tasks"]["film_reviews"].update(metric="accuracy")),
            r"film_reviews: metric 'accuracy' needs labels",
        ),
        (lambda c: c["tasks"]["film_reviews"].update(metric="rougeL"), r"metric 'rougeL' takes no labels"),
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
            lambda c: c["groups"]["test"].update(CLS=["film_reviews"]),
            r"groups: film_reviews is in both train and test",
        ),
        (
            lambda c: c.update(
                groups={
                    "train": {"A": ["film_reviews"], "A-B": ["gift_pairs"]},
                    "test": {"B-C": ["dish_reviews"], "C": ["chase_pairs"]},
                }
            ),
            r"groups: two pairs of groups have the same name",
        ),
        (lambda c: c["groups"].update(test={}), r"groups: give groups of both, train and test"),
        (
            lambda c: c["generalisation"]["overlap_ablation"].update(pairs=["CLS-X"]),
            r"overlap_ablation: pairs: there is no pair of groups 'CLS-X'; there are CLS-CLS, CLS-GEN",
        ),
        (lambda c: c["model"].update(source={"path": "no/such"}), r"no/such holds no config\.json"),
        (lambda c: c["model"].update(source={"gguf": "no.gguf"}), r"GGUF file no\.gguf does not exist"),
        (lambda c: c.update(weights="no.gguf"), r"GGUF file no\.gguf does not exist"),
        (lambda c: c["damage"].update(rules={"random": [3]}), r"damage: rules: give at least one rule beside random"),
        (
            lambda c: c["neuron_tuning"]["proportions"].update(tasks=["films"]),
            r"neuron_tuning: proportions: tasks: there is no task 'films'; there are film_reviews, ",
        ),
        (
            lambda c: c["neuron_tuning"]["rates"].update(tasks=["films"]),
            r"neuron_tuning: rates: tasks: there is no task 'films'; there are film_reviews, ",
        ),
        (
            lambda c: c["neuron_tuning"]["budgets"].update(tasks=["films"]),
            r"neuron_tuning: budgets: tasks: there is no task 'films'; there are film_reviews, ",
        ),
        (
            lambda c: c["neuron_tuning"]["training"].update(validation=0),
            r"neuron_tuning: training: validation: 0 is too few: the learning rates are chosen by the loss on them",
        ),
        (
            lambda c: c["neuron_tuning"]["training"].update(learning_rate=1e-3),
            r"neuron_tuning: training: learning_rate: there is no such key",
        ),
        (
            lambda c: c["neuron_tuning"]["rates"].update(grid=[1e-3]),
            r"neuron_tuning: rates: grid: \[0\.001\] is too short: give",
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


def test_all_mistakes_are_told_at_once():
    """Wrong keys and values, and what only the whole config or the data files tell; each on a line of its own."""

    def many(config):
        config["sed"] = 1
        config["selection"]["k"] = 0
        config["training"] |= {"epochs": "many", "validation": 101}
        config["tasks"]["film_reviews"]["prompt"] = "{text} :"
        config["tasks"]["dish_reviews"]["labels"] = {"bad": "x", "good": "x"}
        config["groups"]["train"]["CLS"] = ["film_revews"]
        config["model"]["source"] = {"hub": "someone/model"}

    with pytest.raises(UserError) as told:
        check(many)
    lines = str(told.value).splitlines()
    for message in (
        "config: sed: there is no such key",
        "config: selection: k: 0 is too small",
        "config: training: epochs: 'many' is not a whole number",
        "config: training: validation: 101 is more than the 100 validation examples of gift_pairs, ",
        "config: tasks: film_reviews: the suite's task has no column 'text'",
        "config: tasks: dish_reviews: labels: two labels have the same word",
        "config: groups: train: CLS: there is no task 'film_revews'",
        "config: model: source: hub needs a revision",
    ):
        assert any(line.startswith(message) for line in lines), message
    # A task that is wrong is still a task: the groups may name it.
    assert not any("there is no task 'dish_reviews'" in line for line in lines)


def test_the_only_task_is_wrong_and_so_is_something_else():
    wrong = {**MINIMAL, "tasks": {"mine": {**MINIMAL["tasks"]["mine"], "prompt": "{report"}}}
    with pytest.raises(UserError) as told:
        checked_config({**wrong, "damage": {"rules": {"globl": [3]}}}, ROOT)
    assert [line.split(":")[1:3] for line in str(told.value).splitlines()] == [
        [" tasks", " mine"],
        [" damage", " rules"],
    ]


def test_numbers_may_be_written_as_texts():
    """YAML reads 1e-4 as a text, and --config gives every number within a mapping as one."""
    run = check(lambda c: c["training"].update(learning_rate="1e-4", epochs="3"))
    assert (run.config.training.learning_rate, run.config.training.epochs) == (1e-4, 3)


def test_whole_numbers_are_typed_as_such():
    """So that no spec holds 2.0 where range() and torch take 2 alone."""
    run = check(lambda c: (c["training"].update(epochs=2.0, batch_size="3.0"), c.update(seed=1.0)))
    given = run.config.training.epochs, run.config.training.batch_size, run.config.seed
    assert given == (2, 3, 1) and all(type(value) is int for value in given)


def test_what_texts_and_paths_may_hold(tmp_path):
    folder = write_splits(tmp_path / "-a $b 'c\" ; é # %s & ~")
    name = "a $x_1$ {b} <i> 'c\" 日本"
    run = check(lambda c: (c["tasks"].update(mine=local_task(folder, name=name)), c["model"].update(name=name)))
    assert run.tasks["mine"].shown["name"] == run.config.model.name == name
    assert run.tasks["mine"].data.source.local == str(folder)
    check(lambda c: c["tasks"]["film_reviews"].update(prompt="\tFilm:\n{review}\nOpinion:"))
    check(lambda c: c["tasks"]["film_reviews"]["source"].update(hub=None))


def test_files_that_no_setting_names_have_plain_names_too(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (tmp_path / "model" / "{x}.txt").touch()
    with pytest.raises(
        UserError, match=r"config: model: source: path: .*\{x\}\.txt': \{ in a path is taken for a patt"
    ):
        check(lambda c: c["model"].update(source={"path": str(tmp_path / "model")}))
    folder = write_splits(tmp_path / "data", "csv")
    for split in ("train", "validation"):
        (folder / f"{split}.csv").unlink()
    (folder / "test.csv").rename(folder / "all{x}.csv")
    with pytest.raises(UserError, match=r"config: tasks: mine: source: local: path: .*all\{x\}\.csv': \{ in a path"):
        check(lambda c: c["tasks"].update(mine=local_task(folder)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: {b: c", r"is no YAML: .* line 1, column 9"),
        ("a: é".encode("latin-1"), r"is not in UTF-8 \(byte 3\): save it in that encoding"),
        ("a: b".encode("utf-16"), r"is not in UTF-8 \(byte 0\)"),
        (b"- a", r"holds \['a'\], not a mapping of keys to tasks"),
        (b"", r"holds None, not a mapping"),
        (b"a: \x01", r"is no YAML: "),
        (b"a: 2020-13-45", r"is no YAML: "),
        (b"a: &a [*a]", r"config: tasks: is nested too deeply, or holds itself"),
    ],
)
def test_a_wrong_file_of_tasks_is_told(content, message, tmp_path):
    (tmp_path / "tasks.yaml").write_bytes(content)
    with pytest.raises(UserError, match=message):
        check(lambda c: c.update(tasks=str(tmp_path / "tasks.yaml")))


def test_anchors_and_merge_keys_of_a_file_of_tasks(tmp_path):
    (tmp_path / "tasks.yaml").write_text(
        "one: &one {family: f, source: {suite: film_reviews}, prompt: '{review} :', target: label}\n"
        "other: {<<: *one, prompt: 'Film: {review} :'}\n"
    )
    run = checked_config({**MINIMAL, "tasks": str(tmp_path / "tasks.yaml")}, ROOT)
    assert [task.data.prompt for task in run.tasks.values()] == ["{review} :", "Film: {review} :"]


def test_mutated_configs(tmp_path):
    """Refused with a message that names the place, or taken as they say; `make reliability` tries more."""
    results = try_all(60, 22, tmp_path)
    assert {one["outcome"] for one in results} == {REFUSED, HARMLESS}, [
        one for one in results if one["outcome"] not in (REFUSED, HARMLESS)
    ]


def test_what_is_left_to_the_defaults():
    run = checked_config(MINIMAL, ROOT)
    task = run.tasks["mine"]
    assert task.shown == {"name": "mine", "family": "f", "counterpart": None, "metric": "rougeL"}
    assert task.sizes == run.config.data.sizes and task.tokens == run.config.data.tokens
    labelled = {"source": {"suite": "film_reviews"}, "prompt": "{review} :", "target": "label", "family": "f"}
    labels = {"negative": "bad", "positive": "good"}
    both = {**MINIMAL["tasks"], "other": {**labelled, "labels": labels, "sizes": {"test": 5}}}
    other = checked_config({**MINIMAL, "tasks": both}, ROOT).tasks["other"]
    assert other.shown["metric"] == "accuracy"
    assert other.sizes == run.config.data.sizes.model_copy(update={"test": 5})


def test_one_task_alone_says_which_rules_it_leaves_out():
    run = checked_config({**MINIMAL, "damage": {"rules": {"global": [3], "contrastive": [10]}}}, ROOT)
    assert [one for one in run.warnings if "revisions" not in one] == [
        "damage: rules: contrastive compare tasks, and there is one alone: left out",
        "neuron_tuning: there is one task alone: beside its own neurons only random ones are trained",
    ]


def test_one_family_alone_has_no_other_familys_neurons():
    config = copy.deepcopy(DEFAULT)
    for task in config["tasks"].values():
        task["family"] = "one"
    assert "no other family's neurons are trained" in checked_config(config, ROOT).warnings[0]
    assert checked_config(DEFAULT, ROOT).warnings == []


def test_what_a_config_cannot_make_is_left_out_with_the_reason():
    run = checked_config({**MINIMAL, "neuron_tuning": None}, ROOT)
    reasons = left_out(run.config)
    assert reasons["neuron_tuning"] == "neuron_tuning is null"
    assert reasons["cross_task_tuning"] == "neuron_tuning is null; there is one task alone"
    assert reasons["overlap_rate"].startswith("groups names no")
    assert {table.name for table in shown(run.config)} == {table.name for table in TABLES} - set(reasons)
    assert left_out(checked_config(DEFAULT, ROOT).config) == {
        "continual_tuning": "continual gives the learning rates of all methods"
    }
    without = {**MINIMAL, "neuron_tuning": {"proportions": None}}
    assert (
        left_out(checked_config(without, ROOT).config)["single_task_proportion"] == "neuron_tuning.proportions is null"
    )


@pytest.mark.parametrize(
    ("k", "text"), [(10, "10"), (0.1, "0.1"), (0.00001, "0.00001"), (1 / 3, "0.333333333333"), (100.0, "100")]
)
def test_a_percentage_in_file_names(k, text):
    assert percent_text(k) == text


def gguf_file(path: Path, *entries: tuple[bytes, int, bytes]) -> Path:
    """A GGUF header with entries of key, type and value."""
    head = b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + len(entries).to_bytes(8, "little")
    parts = [len(key).to_bytes(8, "little") + key + kind.to_bytes(4, "little") + value for key, kind, value in entries]
    path.write_bytes(head + b"".join(parts))
    return path


def text(value: bytes) -> bytes:
    return len(value).to_bytes(8, "little") + value


@pytest.mark.parametrize(
    ("name", "family"), [(b"llama", "llama"), (b"gptneox", "gpt_neox"), (b"qwen3moe", "qwen3_moe")]
)
def test_the_architecture_of_a_gguf_file_wherever_it_stands(name, family, tmp_path):
    """Behind a number, a text, a list of numbers and one of texts."""
    of_numbers = (4).to_bytes(4, "little") + (2).to_bytes(8, "little") + bytes(8)
    of_texts = (8).to_bytes(4, "little") + (2).to_bytes(8, "little") + text(b"a") + text(b"bc")
    before = [(b"v", 4, bytes(4)), (b"t", 8, text(b"x")), (b"n", 9, of_numbers), (b"s", 9, of_texts)]
    file = gguf_file(tmp_path / "a.gguf", *before, (b"general.architecture", 8, text(name)))
    assert gguf_family(file) == family


def test_broken_gguf_files_are_told(tmp_path):
    with pytest.raises(UserError, match="does not say its architecture"):
        gguf_family(gguf_file(tmp_path / "a.gguf", (b"t", 8, text(b"x"))))
    file = gguf_file(tmp_path / "b.gguf", (b"general.architecture", 8, text(b"llama")))
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(UserError, match="ends within its header"):
        gguf_family(file)
    file.write_bytes(b"PK")
    with pytest.raises(UserError, match="is not a GGUF file"):
        gguf_family(file)


def test_mixtures_of_experts_go_without_neuron_tuning(tmp_path):
    folder = model_folder(tmp_path / "mixture", "mixtral")

    def mixture(config):
        config["model"].update(source={"path": str(folder)})

    with pytest.raises(
        UserError, match=r"neuron_tuning: is not available for mixtures of experts \(mixtral\): set neuron_tuning: null"
    ):
        check(mixture)
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
    for name in ("test.parquet", "more.csv"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"no train\.parquet, \.json, \.jsonl or \.csv; it holds more\.csv, test\.parq"):
        check(lambda c: c["tasks"].update(mine=local_task(tmp_path)))
    with pytest.raises(UserError, match=r"test\.parquet is no Parquet file"):
        check(lambda c: c["tasks"].update(mine=local_task(tmp_path / "test.parquet")))


@pytest.mark.parametrize("source", [{"local": {"path": "x" * 5000}}, {"hub": {"id": "x" * 5000, "revision": "main"}}])
def test_a_path_that_is_too_long(source, tmp_path):
    with pytest.raises(UserError, match=r"config: tasks: mine: source: .*( is too long|File name too long)"):
        check(lambda c: c["tasks"].update(mine=local_task(tmp_path, source=source)))


def test_a_data_root_chooses_the_local_source(tmp_path):
    write_splits(tmp_path / "mine")
    source = {"hub": {"id": "someone/data", "revision": "main"}, "local": {"path": "mine"}}
    hub = check(lambda c: c["tasks"].update(mine=local_task(tmp_path, source=source)))
    assert hub.tasks["mine"].data.source.hub == "someone/data"
    local = check(
        lambda c: (
            (c["tasks"].update(mine=local_task(tmp_path, source=source)), c.update(data_root=str(tmp_path)))
            and [c["tasks"].pop(key) for key in list(c["tasks"]) if key != "mine"]
            and c.update(
                **{"groups": {}, "generalisation": None, "faithfulness": {}, "set_faithfulness": {}},
                **{"neuron_tuning": {}, "continual": None},
            )
        )
    )
    assert local.tasks["mine"].data.source.local == str(tmp_path / "mine")


@pytest.mark.parametrize("given", ["file", "folder"])
def test_one_data_file_alone_is_split_with_a_warning(given, tmp_path):
    write_splits(tmp_path, "csv")
    for name in ("validation", "test"):
        (tmp_path / f"{name}.csv").unlink()
    place = tmp_path / "train.csv" if given == "file" else tmp_path
    run = check(lambda c: c["tasks"].update(mine=local_task(place)))
    assert run.tasks["mine"].data.source.splits is None
    assert run.warnings == ["tasks: mine: one data file is split by the seed: 80 % train, 10 % validation, 10 % test"]


def test_columns_of_a_json_document_over_several_lines(tmp_path):
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.json").write_text(json.dumps([{"question": "a", "answer": "b"}], indent=2))
    check(lambda c: c["tasks"].update(mine=local_task(tmp_path)))
    with pytest.raises(UserError, match=r"train\.json has no column 'title'; it has question, answer"):
        check(lambda c: c["tasks"].update(mine=local_task(tmp_path, prompt="{title} :")))


@pytest.mark.parametrize("preset", ["smollm2-135m", "real-smoke"])
def test_presets_are_right(preset):
    if preset == "real-smoke" and not SHARED.is_dir():
        pytest.skip("the real inputs beside the project are absent")
    config = yaml.safe_load((ROOT / "workflow" / "presets" / f"{preset}.yaml").read_text())
    if preset == "real-smoke":
        config["data_root"] = str(SHARED)
    run = checked_config(config, ROOT)
    tasks = yaml.safe_load((ROOT / "workflow" / "presets" / "paper-tasks.yaml").read_text())
    assert list(run.tasks) == list(tasks)
    # What cannot be paid on two CPU cores.
    without = {"proportion_sweep", "overlap_ablation", "overlap_regression"} if preset == "smollm2-135m" else set()
    continual = {table.name for table in TABLES if "continual" in table.needs}
    assert set(left_out(run.config)) == without | continual
