"""What can be wrong with the section of continual learning is told before any work, all at once."""

import copy

import pytest
import yaml

from conftest import ROOT
from taskneurons.checks.config import checked_config
from taskneurons.core.errors import UserError
from taskneurons.report.contents import TABLES, left_out

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
FILMS = {
    **{"name": "one", "family": "sentiment", "source": {"suite": "film_reviews"}, "prompt": "{review}"},
    **{"target": "label", "labels": {"negative": "negative", "positive": "positive"}},
}
DISHES = {
    **{"name": "two", "family": "sentiment", "source": {"suite": "dish_reviews"}, "prompt": "{comment}"},
    **{"target": "label", "labels": {"bad": "bad", "good": "good"}},
}
CONTINUAL = {
    "tasks": {"c_films": FILMS, "c_dishes": DISHES},
    "prompt": "text : {input} answer :",
    "benchmarks": {"standard": {"1": ["c_films", "c_dishes"]}},
    "methods": {"seqft": {}},
    "sizes": {"train": 20, "validation": 30},
    "tokens": {"prompt": 40, "target": 8},
    "tuning": {"examples": 30},
}


def checked(change=lambda section: None):
    section = copy.deepcopy(CONTINUAL)
    change(section)
    return checked_config({**copy.deepcopy(DEFAULT), "continual": section}, ROOT)


def at(path: str, value):
    """A change of one entry of the section."""

    def change(section):
        *parts, last = path.split(".")
        for part in parts:
            section = section[part]
        section[last] = value

    return change


def test_tasks_have_the_common_form_and_sizes_of_their_own():
    task = checked().continual["c_films"]
    assert task.data.prompt == "text : {review} answer :"
    assert (task.sizes.train, task.sizes.test, task.tokens.prompt) == (20, 200, 40)
    task = checked(at("tasks.c_films.sizes", {"test": 7})).continual["c_films"]
    assert (task.sizes.train, task.sizes.test) == (20, 7)


def test_prompts_can_name_their_task_and_data_as_earlier_work_does():
    task = checked(at("named", True)).continual["c_films"]
    assert task.data.prompt == "Task: sentiment\nDataset: c_films\ntext : {review} answer :"


def test_tasks_may_be_in_a_file(tmp_path):
    file = tmp_path / "tasks.yaml"
    file.write_text(yaml.safe_dump(CONTINUAL["tasks"], sort_keys=False))
    assert list(checked(at("tasks", str(file))).continual) == ["c_films", "c_dishes"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (at("prompt", "text"), r"continual: prompt: 'text': write \{input\} once, where a task's own prompt belongs"),
        (
            at("prompt", "{input} {label}"),
            r"write \{input\} once, where a task's own prompt belongs, and no other brace",
        ),
        (at("benchmarks.standard.1", ["c_films"]), "benchmarks: standard: 1: a sequence has two tasks or more"),
        (at("benchmarks.standard.1", ["c_films", "x"]), "standard: 1: there is no task x in continual.tasks"),
        (at("benchmarks", {}), "continual: benchmarks: give at least one order"),
        (at("benchmarks.large", {"1": ["c_films", "c_dishes"]}), "large: 1: standard has an order of this name too"),
        (at("methods.seqtf", {}), "continual: methods: there is no method 'seqtf'; there are .*seqft"),
        (at("methods.seqft", {"learning_rate": 1, "knob": 2}), "methods: seqft: it has no knob: leave out knob: 2"),
        (at("methods.seqft", {"knob": 2}), "methods: seqft: knob is given without learning_rate"),
        (at("methods.seqft", {"orders": ["2"]}), "methods: seqft: orders: there is no order 2; there are 1"),
        (at("tasks.film_reviews", {**FILMS, "name": "x"}), "continual: tasks: film_reviews is a key of tasks too"),
        (at("tasks.c_dishes.name", "one"), "tasks: c_films and c_dishes have the same name, 'one'"),
        (at("tasks.c_dishes.labels", None), "continual: tasks: c_dishes: accuracies need labels"),
        (at("tasks.c_dishes.source", {"suite": "x"}), "continual: tasks: c_dishes: source: the suite has no task 'x'"),
        (at("general", "x"), "continual: general: there is no task 'x' in tasks; there are film_reviews"),
        (
            at("tuning.examples", 31),
            "tuning: examples: 31 is more than the 30 validation examples of c_films, c_dishes",
        ),
    ],
)
def test_one_clear_message(change, message):
    with pytest.raises(UserError, match=message) as told:
        checked(change)
    assert len(str(told.value).splitlines()) == 1


def test_validation_examples_count_only_where_a_method_is_tuned():
    def change(section):
        section["tuning"]["examples"] = 31
        section["methods"] = {"seqft": {"learning_rate": 1}}

    assert checked(change).continual


def test_the_preset_is_right():
    config = yaml.safe_load((ROOT / "workflow" / "presets" / "continual-smollm2.yaml").read_text())
    run = checked_config(config, ROOT)
    continual = {table.name for table in TABLES if "continual" in table.needs}
    assert not continual & set(left_out(run.config))
    assert len(run.continual) == 8 and run.continual["amazon"].data.prompt == "{title}\n{content}\nAnswer:"
    prompts = " ".join(task.data.prompt for task in run.continual.values()).lower()
    assert not any(key in prompts for key in run.continual)  # none tells its task away
