"""A preset replaces the embedded default: nothing of it is left in the DAG."""

import csv
import re

import pytest
import yaml

import forked_snakemake
from conftest import ROOT, SHARED
from reliability.model_folders import model_folder
from reliability.small import jobs_in, project_copy
from taskneurons.checks.config import checked_config
from taskneurons.config.settings import Task
from taskneurons.data.templates import template_fields
from taskneurons.plan.show import page, table
from test_plan import planned_run

FORKS = forked_snakemake.pool(1)

LARGE, SMALL = ["llama-2-7b", "bloom-7b1"], ["qwen3-0.6b", "pythia-160m"]
# The paper's orders of continual learning, by its names of the tasks.
ORDERS = {
    "standard": {
        "1": ["DBpedia", "Amazon", "Yahoo", "AGNews"],
        "2": ["DBpedia", "Amazon", "AGNews", "Yahoo"],
        "3": ["Yahoo", "Amazon", "AGNews", "DBpedia"],
    },
    "large": {
        "4": ["MNLI", "QQP", "RTE", "Amazon", "SST-2", "DBpedia", "AGNews", "Yahoo"],
        "5": ["Amazon", "AGNews", "Yahoo", "QQP", "RTE", "MNLI", "DBpedia", "SST-2"],
        "6": ["AGNews", "Yahoo", "SST-2", "RTE", "QQP", "MNLI", "DBpedia", "Amazon"],
    },
}
PAPERS_METHODS = {"seqft", "seqlora", "o-lora", "epi", "ncft", "w-ncft", "per-task-ft"}
# A data set of the hub and its configuration → the splits with answers, the columns, and the values of the labels, as
# far as the files of tasks say that they are known.
CARDS = {
    ("jhan21/amazon-food-reviews-dataset", None): ("train", "Id ProductId Score Summary Text", range(1, 6)),
    ("stanfordnlp/sst2", None): ("train validation", "idx sentence label", range(2)),
    ("nyu-mll/glue", "qqp"): ("train validation", "question1 question2 label idx", range(2)),
    ("google-research-datasets/paws", "labeled_final"): (
        "train validation test",
        "id sentence1 sentence2 label",
        range(2),
    ),
    ("nyu-mll/glue", "mnli"): (
        "train validation_matched validation_mismatched",
        "premise hypothesis label idx",
        range(3),
    ),
    ("nyu-mll/glue", "rte"): ("train validation", "sentence1 sentence2 label idx", range(2)),
    ("pietrolesci/gpt3_nli", None): ("train", "text_a text_b label guid", range(3)),
    ("allenai/sciq", None): ("train validation test", "question correct_answer support", None),
    ("ucsbnlp/tweet_qa", None): ("train validation", "Question Answer Tweet qid", None),
    ("tuetschek/e2e_nlg", None): ("train validation test", "meaning_representation human_reference", None),
    ("allenai/common_gen", None): ("train validation", "concept_set_idx concepts target", None),
    ("abisee/cnn_dailymail", "3.0.0"): ("train validation test", "article highlights id", None),
    ("EdinburghNLP/xsum", None): ("train validation test", "document summary id", None),
    ("fancyzhx/dbpedia_14", None): ("train test", "label title content", range(14)),
    ("vgaraujov/amazon_review_full", None): ("train test", "label title content", range(5)),
    ("pietrolesci/yahoo_answers_topics", None): ("train test", "topic text", range(10)),
    ("fancyzhx/ag_news", None): ("train test", "text label", range(4)),
}


def preset_of(name):
    return yaml.safe_load((ROOT / f"workflow/presets/{name}.yaml").read_text())


TASKS = {name: preset_of(f"{name}-tasks") for name in ("paper", "continual")}


def dry_run(folder, config, *options):
    """What a dry-run of a config file in a copy of the project says."""
    options = ("--dry-run", "--configfile", config, *options)
    status, output = FORKS.submit(forked_snakemake.snakemake, folder, *options).result()
    assert status == 0, output
    return output


@pytest.mark.parametrize("preset", ["smollm2-135m", "real-smoke"])
def test_no_embedded_task_is_in_a_presets_dag(preset, tmp_path):
    project_copy(tmp_path)
    if preset == "real-smoke":  # its model is a local folder: any whole one will do for a dry-run
        model_folder(tmp_path / "models" / "stories260K", max_position_embeddings=512)
    output = dry_run(tmp_path, f"workflow/presets/{preset}.yaml")
    embedded = yaml.safe_load((ROOT / "config.yaml").read_text())["tasks"]
    assert not [task for task in embedded if task in output]
    assert "pretraining" not in output
    assert output.count("rule multitask:") == 1
    for task in yaml.safe_load((ROOT / "workflow/presets/paper-tasks.yaml").read_text()):
        assert f"data/{task}/train.parquet" in output


@pytest.fixture(scope="module", params=[*LARGE, *SMALL])
def planned(request, tmp_path_factory):
    """A preset's name, what a dry-run of it prints, and the plan that it writes."""
    folder = tmp_path_factory.mktemp(request.param)
    found, plan = planned_run(folder, preset_of(request.param), "--dry-run", "--printshellcmds")
    assert found.returncode == 0, found.stderr
    return request.param, found.stdout, plan


def test_a_presets_jobs_are_fewer_than_a_thousand(planned):
    preset, output, _ = planned
    stats = output[output.rindex("Job stats:") :]
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}
    assert 300 < jobs["total"] < 1000
    assert {"multitask", "proportion_sweep", "learn_stage", "table_continual_learning"} <= set(jobs)
    assert ("overlap_ablation" in jobs) == (preset in LARGE)


def test_a_preset_states_what_it_takes(planned):
    preset, _, plan = planned
    found = table(plan)
    hours, disk = found["GPU hours"].sum(), found["disk GiB"].sum()
    stated = (
        f"# make plan: {len(plan['jobs'])} jobs, {hours:.1f} GPU hours on {plan['device']}, {disk:.0f} GiB of disk.\n"
    )
    assert stated in (ROOT / f"workflow/presets/{preset}.yaml").read_text()
    (warning,) = plan["warnings"]
    assert "branches or tags" in warning and warning in page(plan)


def test_what_trains_a_whole_model_has_the_weights_for_it(planned):
    """Frozen weights are bfloat16 there; an update of all parameters would be lost in them."""
    weights = {}
    for spec, _ in jobs_in(planned[1]):
        if spec["step"] in ("continual.learn_stage", "continual.tune_method", "continual.test_stage"):
            weights.setdefault(spec["method"], set()).add(spec["compute"]["weights"])
    assert weights["seqft"] == weights["per-task-ft"] == weights["joint"] == {"float32"}
    assert weights["ncft"] == weights["o-lora"] == {"compute"}


@pytest.mark.parametrize("preset", [*LARGE, *SMALL])
def test_continual_learning_goes_through_the_papers_orders(preset):
    section = preset_of(preset)["continual"]
    names = {key: task["name"].removesuffix(" (plain)") for key, task in TASKS["continual"].items()}
    found = {
        benchmark: {order: [names[task] for task in tasks] for order, tasks in orders.items()}
        for benchmark, orders in section["benchmarks"].items()
    }
    assert found == (ORDERS if preset in LARGE else {"standard": {"1": ORDERS["standard"]["1"]}})
    assert set(section["methods"]) >= PAPERS_METHODS
    assert all(section["methods"][method] == {} for method in PAPERS_METHODS)  # tuned, in all orders


@pytest.mark.skipif(not SHARED.is_dir(), reason="the paper's tables beside the project are absent")
def test_the_orders_here_are_the_papers():
    with (SHARED / "paper/tables/task_orders.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = [(name, order, task) for name, orders in ORDERS.items() for order in orders for task in orders[order]]
    assert [(row["benchmark"], row["order"], row["task"]) for row in rows] == told


@pytest.mark.parametrize("preset", [*LARGE, *SMALL])
def test_what_the_paper_says_is_in_the_presets(preset):
    config = checked_config(preset_of(preset), ROOT).config
    assert config.tasks.keys() == TASKS["paper"].keys() and config.continual.tasks.keys() == TASKS["continual"].keys()
    assert config.selection.k == 10 and config.ablation == "zero"
    assert config.groups.train == {"CLS": ["amazonfood", "qqp", "mnli"], "GEN": ["sciqa", "e2e", "cnn"]}
    assert config.groups.test == {"CLS": ["sst2", "paws", "gptnli"], "GEN": ["tweetqa", "commongen", "xsum"]}
    assert config.overlap.proportions == [10, 30, 50, 70, 100]
    assert config.generalisation.proportions.percents == [10, 30, 50, 70, 100]
    ablation = config.generalisation.overlap_ablation
    assert (ablation is not None) == (preset in LARGE)
    if ablation:
        assert ablation.trained == [10, 30, 50] and ablation.shares == [10, 30, 50, 70, 100]
        assert ablation.pairs == ["CLS-CLS", "GEN-GEN", "GEN-CLS"]


@pytest.mark.parametrize("preset", LARGE)
def test_every_value_says_whether_it_is_the_papers(preset):
    lines = (ROOT / f"workflow/presets/{preset}.yaml").read_text().splitlines()
    valued = [line for line in lines if re.search(r":\s+[^\s#]", line) and not line.lstrip().startswith("#")]
    unmarked = [line.split(":")[0].strip() for line in valued if not re.search(r" # (paper|ours)", line)]
    assert len(valued) > 60 and unmarked == ["run", "hub", "revision", "tasks"]  # whose sources stand above them


def hub_tasks():
    for name, tasks in TASKS.items():
        for key, task in tasks.items():
            yield pytest.param(task, id=f"{name}-{key}")


@pytest.mark.parametrize("task", hub_tasks())
def test_what_a_task_asks_of_the_hub_is_what_is_known_to_be_there(task):
    task = Task.model_validate(task)
    hub = task.source.hub
    splits, columns, labels = CARDS[hub.id, hub.config]
    asked = {name.partition("[")[0] for name in (hub.splits.train, hub.splits.validation, hub.splits.test)}
    assert asked <= set(splits.split())
    assert task.labels is None or list(task.labels) == [str(label) for label in labels]
    assert {hub.columns.get(name, name) for name in (*template_fields(task.prompt), task.target)} <= set(
        columns.split()
    )


def test_the_continual_tasks_are_the_benchmarks_and_their_prompts_tell_none_of_them():
    tasks = {key: Task.model_validate(task) for key, task in TASKS["continual"].items()}
    # Table 5's tasks in the order of its two benchmarks, with their numbers of classes.
    classes = {"dbpedia": 14, "amazon": 5, "yahoo": 10, "agnews": 4}
    classes |= {"plain_mnli": 3, "plain_qqp": 2, "rte": 2, "plain_sst2": 2}
    assert {key: len(task.labels) for key, task in tasks.items()} == classes
    fixed = {re.sub(r"\{\w+\}", "{}", task.prompt) for task in tasks.values()}
    assert fixed == {"{}", "{}\n{}", "Sentence 1: {}\nSentence 2: {}"}
    # No task's validation examples are its test examples, as they are in O-LoRA's files.
    assert all(task.source.hub.splits.validation != task.source.hub.splits.test for task in tasks.values())
    assert all(task.source.local is not None for task in tasks.values())


def test_the_full_grid_is_the_embedded_suite(tmp_path):
    """tiny-full has no tasks of its own: it is merged into config.yaml."""
    project_copy(tmp_path)
    targets = ("table_deactivation", "table_zero_shot", "table_continual_tuning")  # of more than 2,000 jobs
    output = dry_run(tmp_path, "workflow/presets/tiny-full.yaml", "--quiet", "rules", "--", *targets)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE))
    assert jobs["multitask"] == "3" and jobs["zero_shot"] == "12" and jobs["tune_method"] == "16"


def embedded(folder, change, *targets):
    """What a dry-run of the embedded default with a change of it says."""
    project_copy(folder)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    change(config)
    (folder / "changed.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return dry_run(folder, "changed.yaml", "--", *targets)


def test_neuron_tuning_can_be_left_out(tmp_path):
    output = embedded(tmp_path, lambda config: config.update(neuron_tuning=None))
    assert "rule neuron_tuning:" not in output and "deltas/" not in output
    assert "rule report:" in output


def test_other_k_and_proportions_can_be_left_out(tmp_path):
    output = embedded(tmp_path, lambda config: config["neuron_tuning"].update(budgets=None, proportions=None))
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
        output = embedded(tmp_path / name, change, "table_learning_rates")
        assert set(re.findall(r"output: results/tiny/rates/([a-z-]+)\.parquet", output)) == left


def test_the_other_family_is_the_next_one_in_the_configs_order(tmp_path):
    """Of dish_reviews (sentiment) gift_pairs; of the last one, of the family of match_reports, the first."""
    output = embedded(tmp_path, lambda config: None, "table_neuron_tuning")
    jobs = re.findall(r"rule neuron_tuning:\n +input: (.*)\n +output: results/tiny/deltas/([a-z_]+)-seed0", output)
    others = {task: set(re.findall(r"masks/base/([a-z_]+)/global10", inputs)) - {task} for inputs, task in jobs}
    assert len(others) == 12
    assert others["film_reviews"] == others["dish_reviews"] == {"gift_pairs"}
    assert others["match_reports"] == others["town_news"] == {"film_reviews"}


def test_no_test_example_has_a_part_in_the_choice_of_rates(tmp_path):
    output = embedded(tmp_path, lambda config: None, "table_learning_rates")
    jobs = re.findall(r"rule rate_search:\n +input: (.*)\n", output)
    assert len(jobs) == 5
    assert all(set(re.findall(r"data/[a-z_]+/([a-z]+)\.", inputs)) == {"train", "validation"} for inputs in jobs)
