"""A preset replaces the embedded default: nothing of it is left in the DAG."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from reliability.model_folders import model_folder
from reliability.small import project_copy
from taskneurons.config.settings import Task

ALONE = {**os.environ, "TASKNEURONS_WARM": "off"}  # dry-runs start no job


@pytest.mark.parametrize("preset", ["smollm2-135m", "real-smoke"])
def test_no_embedded_task_is_in_a_presets_dag(preset, tmp_path):
    project_copy(tmp_path)
    options = ["--configfile", f"workflow/presets/{preset}.yaml"]
    if preset == "real-smoke":  # its model is a local folder: any whole one will do for a dry-run
        model_folder(tmp_path / "models" / "stories260K", max_position_embeddings=512)
    command = [str(Path(sys.executable).parent / "snakemake"), "--dry-run", *options]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ALONE)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    embedded = yaml.safe_load((ROOT / "config.yaml").read_text())["tasks"]
    assert not [task for task in embedded if task in output]
    assert "pretraining" not in output
    assert output.count("rule multitask:") == 1
    for task in yaml.safe_load((ROOT / "workflow/presets/paper-tasks.yaml").read_text()):
        assert f"data/{task}/train.parquet" in output


def test_the_continual_tasks_are_the_benchmarks_and_their_prompts_tell_none_of_them():
    tasks = {
        key: Task.model_validate(task)
        for key, task in yaml.safe_load((ROOT / "workflow/presets/continual-tasks.yaml").read_text()).items()
    }
    # Table 5's tasks in the order of its two benchmarks, with their numbers of classes.
    classes = {"dbpedia": 14, "amazon": 5, "yahoo": 10, "agnews": 4, "mnli": 3, "qqp": 2, "rte": 2, "sst2": 2}
    assert {key: len(task.labels) for key, task in tasks.items()} == classes
    fixed = {re.sub(r"\{\w+\}", "{}", task.prompt) for task in tasks.values()}
    assert fixed == {"{}", "{}\n{}", "Sentence 1: {}\nSentence 2: {}"}
    # No task's validation examples are its test examples, as they are in O-LoRA's files.
    assert all(task.source.hub.splits.validation != task.source.hub.splits.test for task in tasks.values())
    assert all(task.source.local is not None for task in tasks.values())


def test_the_full_grid_is_the_embedded_suite(tmp_path):
    """tiny-full has no tasks of its own: it is merged into config.yaml."""
    project_copy(tmp_path)
    command = [str(Path(sys.executable).parent / "snakemake"), "--dry-run"]
    command += ["--configfile", "workflow/presets/tiny-full.yaml"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ALONE)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert "results/tiny-full/masks/multitask-seed2/film_reviews/global10.parquet" in output


def dry_run(folder, change):
    """What a dry-run of the embedded default with a change of it says."""
    project_copy(folder)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    change(config)
    (folder / "changed.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = [str(Path(sys.executable).parent / "snakemake"), "--dry-run", "--configfile", "changed.yaml"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=ALONE)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_neuron_tuning_can_be_left_out(tmp_path):
    output = dry_run(tmp_path, lambda config: config.update(neuron_tuning=None))
    assert "rule neuron_tuning:" not in output and "deltas/" not in output
    assert "rule report:" in output


def test_other_k_and_proportions_can_be_left_out(tmp_path):
    output = dry_run(tmp_path, lambda config: config["neuron_tuning"].update(budgets=None, proportions=None))
    assert "rule neuron_tuning:" in output and "rule table_tuning_budget:" in output
    assert "rule budget_tuning:" not in output and "rule proportion_evaluation:" not in output
    assert "rule table_single_task_proportion:" not in output


def test_control_sets_that_need_several_tasks_or_families_are_left_out(tmp_path):
    """Of one family: no other family's; of one task: random ones alone."""

    def one_family(config):
        for task in config["tasks"].values():
            task["family"] = "one"

    def one_task(config):
        config["tasks"] = {"cafe_facts": config["tasks"]["cafe_facts"]}
        config["groups"], config["generalisation"], config["continual"] = {}, None, None
        config["set_faithfulness"]["tasks"] = "all"
        for section in ("rates", "budgets", "proportions"):
            config["neuron_tuning"][section]["tasks"] = "all"

    for name, change, left in (
        ("family", one_family, {"own", "contrastive", "random", "without-universal"}),
        ("task", one_task, {"own", "random"}),
    ):
        (tmp_path / name).mkdir()
        output = dry_run(tmp_path / name, change)
        assert set(re.findall(r"output: results/tiny/rates/([a-z-]+)\.parquet", output)) == left


def test_the_other_family_is_the_next_one_in_the_configs_order(tmp_path):
    """Of dish_reviews (sentiment) gift_pairs; of the last one, of the family of match_reports, the first."""
    output = dry_run(tmp_path, lambda config: None)
    jobs = re.findall(r"rule neuron_tuning:\n +input: (.*)\n +output: results/tiny/deltas/([a-z_]+)-seed0", output)
    others = {task: set(re.findall(r"masks/base/([a-z_]+)/global10", inputs)) - {task} for inputs, task in jobs}
    assert len(others) == 12
    assert others["film_reviews"] == others["dish_reviews"] == {"gift_pairs"}
    assert others["match_reports"] == others["town_news"] == {"film_reviews"}


def test_no_test_example_has_a_part_in_the_choice_of_rates(tmp_path):
    output = dry_run(tmp_path, lambda config: None)
    jobs = re.findall(r"rule rate_search:\n +input: (.*)\n", output)
    assert len(jobs) == 5
    assert all(set(re.findall(r"data/[a-z_]+/([a-z]+)\.", inputs)) == {"train", "validation"} for inputs in jobs)
