"""What the plan says of models and jobs: against models themselves, published sizes, counts by hand, measured jobs."""

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import torch
import yaml

from conftest import MIXTURES, ROOT, TINY, tiny_model
from reliability.model_folders import gguf_file, model_folder
from reliability.small import SNAKEMAKE, project_copy
from taskneurons.checks.gguf import read_header
from taskneurons.checks.model_files import read_config
from taskneurons.config.settings import ComputeSection, ModelSection
from taskneurons.core.errors import UserError
from taskneurons.plan import devices, needs, refusals, show, work
from taskneurons.plan.geometry import geometry, gguf_geometry, model_geometry
from taskneurons.plan.work import Job, Split, Work

LLAMA_7B = {
    **{"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32},
    **{"num_attention_heads": 32, "vocab_size": 32000, "tie_word_embeddings": False},
}


# But OPT's post-norm form, whose embedding is narrower, and mixtures with dense layers, which count as experts.
EVEN = [name for name in [*TINY, *MIXTURES] if "post-norm" not in name and "dense" not in name]


@pytest.mark.parametrize("name", EVEN)
def test_parameters_are_those_of_the_model(name):
    """But norms, biases and a mixture's routers."""
    model = tiny_model(name)
    weights = [one for key, one in model.named_parameters() if one.dim() > 1 and not key.endswith("mlp.gate.weight")]
    found = geometry(model.config.to_dict())
    beyond = 2 * found.width if name == "opt" else 0  # two places before the first token
    assert found.parameters + beyond == sum(map(torch.numel, weights))


@pytest.mark.parametrize(
    ("config", "parameters"),
    [  # as their cards and papers count them
        (LLAMA_7B, 6_738_415_616),
        (
            {"model_type": "bloom", "hidden_size": 4096, "n_layer": 30, "n_head": 32, "vocab_size": 250880},
            7_069_016_064,
        ),
        (
            {
                **{"model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32},
                **{"num_key_value_heads": 4, "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8},
                **{"moe_intermediate_size": 768, "vocab_size": 151936, "tie_word_embeddings": False},
            },
            30_532_122_624,
        ),
    ],
)
def test_parameters_of_known_models(config, parameters):
    assert geometry(config).parameters == pytest.approx(parameters, rel=0.002)


def test_a_gguf_file_has_the_sizes_of_the_folder(tmp_path):
    model_folder(tmp_path / "model")
    gguf_file(tmp_path / "model.gguf")
    of_file = gguf_geometry(read_header(tmp_path / "model.gguf"), "llama")
    of_folder = geometry(read_config(tmp_path / "model"))
    assert (of_file.layers, of_file.width, of_file.neurons) == (of_folder.layers, of_folder.width, of_folder.neurons)
    assert of_file.attention == of_folder.attention


def test_sizes_of_a_run():
    hub = {"name": "x", "source": {"hub": "someone/x", "revision": "main"}}
    assert model_geometry(ModelSection.model_validate(hub)) is None
    assert model_geometry(ModelSection.model_validate({**hub, "architecture": LLAMA_7B})) == geometry(LLAMA_7B)
    lacking = {key: value for key, value in LLAMA_7B.items() if key != "hidden_size"}
    with pytest.raises(UserError, match="hidden_size is missing"):
        model_geometry(ModelSection.model_validate({**hub, "architecture": lacking}))


def test_a_folder_that_leaves_sizes_to_its_family_is_planned_without(tmp_path):
    model_folder(tmp_path)
    source = ModelSection.model_validate({"name": "x", "source": {"path": str(tmp_path)}})
    assert model_geometry(source) == geometry(read_config(tmp_path))
    config = read_config(tmp_path)
    del config["num_attention_heads"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert model_geometry(source) is None


def job(step: str, spec: dict, outputs: dict | None = None, **files: list[str]) -> Job:
    """A job whose splits are called after their examples: "40", or "40 generated"; 10 + 5 tokens each."""

    def split(path: str) -> Split:
        number, *generated = path.split()
        return Split(int(number), 10, 5, bool(generated))

    return Job({"step": step, **spec}, files, outputs or {}, split)


LOOP = {"epochs": 2, "batch_size": 4, "batch_tokens": 1000, "validation": 3}
PASSES = {"batch_size": 8, "batch_tokens": 60}
EVALUATION = {"batch_size": 8, "cross_task_examples": 2}


def test_work_counted_by_hand():
    trained = work.multitask(job("training.multitask", {"training": LOOP}, data=["40", "20"]))
    # two epochs of 60 examples; after each, 3 examples of each of two tasks
    assert (trained.trained, trained.forward, trained.back, trained.share) == (2 * 60 * 15, 2 * 2 * 3 * 15, 4 * 15, 0)
    narrow = {"training": {**LOOP, "batch_tokens": 31}}
    assert work.multitask(job("training.multitask", narrow, data=["40"])).back == 2 * 15

    scored = work.scores(job("attribution.scores", {"attribution": PASSES}, data=["40"]))
    assert (scored.scored, scored.back, scored.batch, scored.targets) == (600, 60, 0, 20)

    # the model as it is, without two own sets, on all 40; without those of two other tasks, on 2
    off = work.deactivation(
        job("deactivation.evaluate", {"tasks": ["a", "b", "c"], "evaluation": EVALUATION}, data=["40"], masks=["m"] * 4)
    )
    assert (off.forward, off.generated) == (3 * 40 * 10 + 2 * 2 * 10, 0)
    answered = work.zero_shot(job("evaluation.zero_shot", {"evaluation": EVALUATION}, data=["40 generated"]))
    assert (answered.forward, answered.generated, answered.batch) == (400, 200, 8 * 15)

    damaged = work.damage(
        job(
            "deactivation.damage",
            {
                **{"damage": {"examples": 6, "scored": {"global": [1, 10]}, "scored_examples": 3}, "batch_tokens": 60},
                **{"evaluation": EVALUATION, "ablations": ["zero", "mean"]},
            },
            data=["40"],
            masks=["a/global3", "b/global3", "equal-a/global"],
        )
    )
    assert damaged.forward == (1 + 2 * 2 + 1) * 6 * 15 + 2 * 3 * 10

    tuned = work.tune(
        job(
            "tuning.tune",
            {"training": LOOP, "common": 1e-4, "examples": 30, "curve": 2},
            data=["40"],
            own=["m"],
            other_family=["m"],
        )
    )
    assert (tuned.tuned, tuned.trained, tuned.share) == (4 * 2 * 30 * 15, 0, 0.1)
    searched = work.rate_search(
        job(
            "tuning.rate_search",
            {"training": LOOP, "rates": {"grid": [1, 2, 3], "extensions": 3}, "examples": 0},
            data=["40", "20"],
            masks=["m", "m"],
        )
    )
    assert searched.tuned == 4 * 2 * (40 + 20) * 15


def test_every_step_is_planned():
    steps = {
        str(path.relative_to(ROOT / "workflow" / "taskneurons").with_suffix("")).replace("/", ".")
        for path in (ROOT / "workflow" / "taskneurons").rglob("*.py")
        if re.search(r"^def main\(\s*settings: ", path.read_text(), re.MULTILINE)
        or re.search(r"^def main\(\s*settings,", path.read_text(), re.MULTILINE)
    }
    assert set(work.STEPS) == steps


A100 = devices.device("a100-80gb")


def test_memory_by_hand():
    model = geometry(LLAMA_7B)
    using = needs.How(dtype="bfloat16", weights="compute")
    whole = needs.needs(Work(trained=1e6, back=1), model, A100, using)
    # weights, gradients and both moments in two bytes each
    assert whole.device == pytest.approx(4 * 2 * model.parameters, rel=0.02)
    exact = needs.needs(Work(trained=1e6, back=1), model, A100, replace(using, weights="float32"))
    assert exact.device == pytest.approx(4 * 4 * model.parameters, rel=0.02)
    # a tenth of the neurons: a copy, its gradient and its moments in float32
    tenth = needs.needs(Work(tuned=1e6, back=1, share=0.1), model, A100, using)
    assert tenth.device == pytest.approx(2 * model.parameters + 1.6 * model.ffn_parameters, rel=0.05)
    kept = [
        needs.needs(Work(scored=1e6, back=4096), model, A100, replace(using, checkpointing=flag)).device
        for flag in (False, True)
    ]
    assert kept[0] > kept[1] + 4096 * 2 * 31 * (6 * 4096 + 4 * 11008) * 0.9
    assert needs.needs(Work(wide=True), model, A100, using).device > 4 * model.parameters
    spread = needs.needs(Work(), model, A100, replace(using, gpus=4)).device
    assert spread < needs.needs(Work(), model, A100, using).device / 3


def test_what_is_too_large_is_told_once_a_rule():
    whole, using = Work(trained=1, back=2000), needs.How(dtype="bfloat16", checkpointing=True)
    jobs = [("multitask", whole, using), ("multitask", replace(whole, back=4000), using), ("zero_shot", Work(), using)]
    model = geometry(LLAMA_7B)
    told = refusals.too_large(jobs, model, A100)
    most = needs.needs(jobs[1][1], model, A100, using).device / devices.GIB
    assert told.count("\n") == 0 and f"{most:.0f} GiB" in told and "has 80" in told
    assert "trained_weights: compute" in told
    assert refusals.too_large(jobs[1::-1], model, A100) == refusals.too_large(jobs, model, A100)
    assert not refusals.too_large(jobs[2:], model, A100)
    with pytest.raises(UserError, match=r"no device is called 'abacus'.*h100.*measured"):
        devices.device("abacus")


def test_only_what_makes_a_job_fit_is_advised():
    """Of what is not set: what is enough alone, else all that helps together, else larger devices."""
    model, using = geometry(LLAMA_7B), needs.How(dtype="bfloat16", checkpointing=True)
    whole = refusals.remedy(Work(trained=1, back=64), model, A100, using)
    assert whole.startswith("set compute.trained_weights: compute (8 bytes") and "checkpointing" not in whole
    assert "batch_tokens" not in whole and "compute.gpus: 2)" in whole
    tuned = refusals.remedy(Work(tuned=1, back=20_000, share=0.1), model, A100, replace(using, checkpointing=False))
    assert tuned.startswith("set compute.gradient_checkpointing: true, or compute.training_batch_tokens 8 times lower;")
    assert "frozen_weights" not in tuned  # would help, and not enough
    small = devices.NAMED["rtx-4090"]
    assert refusals.remedy(Work(trained=1), model, small, using).startswith("take a larger GPU")
    both = refusals.remedy(Work(scored=1, back=8000), model, small, replace(using, checkpointing=False))
    assert both.startswith("set compute.frozen_weights: compute, and attribution.batch_tokens 8 times lower;")


def test_a_trainings_state_goes_through_the_hosts_memory():
    model, using = geometry(LLAMA_7B), needs.How(dtype="bfloat16")
    state = 3 * 4 * model.parameters  # weights and both moments, written as one file
    assert needs.needs(Work(trained=1), model, A100, using).host > state
    assert needs.needs(Work(scored=1), model, A100, using).host < state / 2


def test_devices_have_the_names_that_the_config_takes():
    names = get_args(get_args(ComputeSection.model_fields["gpu"].annotation)[0])
    assert {*names} == {*devices.NAMED, "measured"} - {"cpu"}


STATS = sorted((ROOT / "docs" / "results").glob("*/jobs.csv"))


@pytest.mark.parametrize("file", STATS, ids=lambda file: file.parent.name)
def test_the_plan_against_measured_jobs(file):
    """Memory within 30 %, and time within a factor of 2, for each rule that took a minute or more."""
    jobs = pd.read_csv(file)
    preset = ROOT / "workflow" / "presets" / f"{file.parent.name}.yaml"
    config = yaml.safe_load((preset if preset.exists() else ROOT / "config.yaml").read_text())
    model = model_geometry(ModelSection.model_validate(config["model"]))
    names = list(vars(Work()))
    planned = [
        needs.needs(Work(**row[names]), model, devices.device("cpu"), needs.How(threads=int(row["threads"])))
        for _, row in jobs.iterrows()
    ]
    jobs["memory"] = [one.host / 2**20 for one in planned] / jobs["peak_memory_mib"]
    jobs["seconds"] = [one.seconds for one in planned]
    jobs["seconds"] *= jobs["threads"]  # of all threads, as the measured ones
    rules = jobs.groupby("rule").agg({"memory": "median", "seconds": "sum", "cpu_seconds": "sum"})
    long = rules[rules["cpu_seconds"] >= 60]
    assert len(long) >= 5
    ratio = long["seconds"] / long["cpu_seconds"]
    assert long["memory"].between(0.7, 1.3).all(), long
    assert ratio.between(0.5, 2).all(), ratio


LARGE = {
    **{"run": "large", "model": {"name": "L", "source": {"hub": "someone/l", "revision": "main"}}},
    "compute": {"device": "cuda", "gpu": "a100-80gb", "dtype": "bfloat16", "frozen_weights": "compute"},
    "tasks": {
        key: {
            **{"family": family, "source": {"hub": {"id": "someone/data", "revision": "main"}}},
            **{"prompt": "{text} :", "target": "label", "labels": {"0": "no", "1": "yes"}},
        }
        for key, family in (("a", "f"), ("b", "g"))
    },
}


def planned_run(folder: Path, config: dict, *options: str) -> tuple[subprocess.CompletedProcess, dict]:
    """A run of a config in a copy of the project, and the plan that it wrote."""
    project_copy(folder)
    (folder / "planned.json").write_text(json.dumps(config))
    command = [SNAKEMAKE, "--configfile", "planned.json", "--cores", "1", *options]
    environment = {**os.environ, "TASKNEURONS_WARM": "off", "TASKNEURONS_PLAN": "plan.json"}
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    return found, json.loads((folder / "plan.json").read_text())


def test_a_job_that_fits_no_device_is_refused_before_any_runs(tmp_path):
    config = {**LARGE, "model": {**LARGE["model"], "architecture": LLAMA_7B}}
    found, plan = planned_run(tmp_path, config)
    assert found.returncode == 1
    assert "multitask takes about" in found.stderr and "compute.trained_weights: compute" in found.stderr
    assert not (tmp_path / "results" / "large" / "models").exists()
    assert "multitask takes about" in plan["refused"]
    table = show.table(plan)
    assert table["jobs"].sum() == len(plan["jobs"]) > 50
    assert table.loc["multitask", "queued"] == 1 and table.loc["table_deactivation", "queued"] == 0
    assert table.loc["multitask", "GPU GiB"] > 80 > table.loc["deactivation", "GPU GiB"] > 12
    assert table.loc["table_deactivation", "GPU GiB"] == 0 and "GPU hours" in show.summary(plan)


def test_jobs_say_what_they_take(tmp_path):
    """Also of a model whose sizes nobody knows, and where the GPU is elsewhere."""
    config = {**LARGE, "compute": {**LARGE["compute"], "device": "auto"}}
    found, plan = planned_run(tmp_path, config, "--dry-run", "--default-resources", "gpu_model=a100")
    assert found.returncode == 0, found.stderr
    jobs = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", found.stdout + found.stderr, re.MULTILINE)
    assert len(jobs) > 50 and plan["jobs"] == []
    assert "give model.architecture" in show.page(plan)
    assert "Nothing is to be done" in show.page({**plan, "known": True})
    for rule, resources in jobs:
        if rule != "all":
            assert {"runtime", "gpu"} <= {one.split("=")[0] for one in resources.split(", ")}, (rule, resources)
            assert re.search(r"\bmem(_mb|_mib)?=", resources), (rule, resources)
            with_gpu = " gpu=1" in resources
            assert ("local_gpu=1" in resources) == with_gpu == ("gpu_model=a100" in resources), (rule, resources)
