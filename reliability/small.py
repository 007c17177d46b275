"""A config that runs the whole workflow in half a minute, and what a trial needs of its runs."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from taskneurons.core.step import located

ROOT = Path(__file__).parents[1]
TASKS = ("film_reviews", "dish_reviews", "cafe_facts")
# What says how many seconds a stage took: two runs differ there.
TIMED = ("continual/costs/", "tables/continual_learning.", "figures/continual_learning.", "report.html")
NO_RESULT = ("logs", "checkpoints", "jobs")  # folders of a run that no step reads
SNAKEMAKE = str(Path(sys.executable).parent / "snakemake")


def small_config() -> dict[str, Any]:
    """Three tasks of the embedded default, with a model of a few thousand parameters."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["run"] = "small"
    config["compute"] |= {"training_threads": 1}
    config["tasks"] = {key: config["tasks"][key] for key in TASKS}
    pretrain = config["model"]["source"]["pretrain"]
    pretrain["documents_per_task"] = 20
    pretrain["vocabulary"] = 400
    pretrain["architecture"] |= {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    pretrain["training"]["epochs"] = 1
    config["training"] |= {"epochs": 1, "seeds": [1]}
    config["data"]["sizes"] = {"train": 40, "attribution": 6, "validation": 4, "test": 8}
    config["data"]["tokens"] = {"prompt": 118, "target": 6}
    config["attribution"] |= {"bootstrap": 5, "shards": 2}
    config["stability"] = {"sizes": [1, 3], "repeats": 2, "enough": 80}
    config["damage"] = {
        "rules": {
            "global": [10, 30],
            "contrastive": [10],
            "weight-activation": [10],
            "shared-core": [30],
            "random": [10],
        },
        "examples": 4,
        "scored": {"contrastive": [10]},
        "scored_examples": 3,
    }
    config["specificity"] = {"percents": [10], "grid": [3, 30]}
    config["faithfulness"] |= {"tasks": ["film_reviews"], "examples": 2, "neurons": 10, "layers": 2, "steps": 2}
    config["set_faithfulness"] |= {"tasks": ["film_reviews"], "examples": 3, "shares": [3, 30], "random_draws": 2}
    config["selection"]["random_draws"] = 2
    tuning = config["neuron_tuning"]
    tuning |= {"random_draws": 1, "cross_training": True, "examples": 24, "curve": 2}
    tuning["rates"] = {"grid": [6e-4, 6e-3], "tasks": ["film_reviews", "cafe_facts"], "extensions": 1, "common": 6e-4}
    tuning["budgets"] = {"tasks": ["film_reviews", "cafe_facts"], "percents": [3, 10]}
    tuning["proportions"] = {"tasks": ["cafe_facts"], "percents": [10, 100], "seeds": [0]}
    tuning["training"] |= {"seeds": [0], "epochs": 2, "validation": 2, "patience": 1}
    config["evaluation"]["cross_task_examples"] = 5
    config["tables"]["bootstrap"] = 20
    config["groups"] = {"train": {"CLS": ["film_reviews"]}, "test": {"GEN": ["cafe_facts"]}}
    config["overlap"] = {"proportions": [10, 100]}
    config["generalisation"]["transfer"] = {"probes": 2}
    config["generalisation"]["similarity"] = {"draws": 5}
    config["generalisation"] |= {"train_examples": 12, "examples": 5, "scored_examples": 5}
    config["generalisation"]["proportions"] |= {"percents": [10, 100], "seeds": [0]}
    continual = config["continual"]
    continual["tasks"] = {key: continual["tasks"][key] for key in ("encyclopedia", "verdict_lines")}
    continual |= {
        "benchmarks": {"standard": {"1": ["encyclopedia", "verdict_lines"]}},
        "methods": {"seqft": {}, "ncft": {"learning_rate": 1e-3}, "per-task-ft": {"learning_rate": 1e-3}},
        "sizes": {"train": 8, "attribution": 4, "validation": 4, "test": 6},
        "tokens": {"prompt": 100, "target": 12},
        "tuning": {"grid": [1e-3, 1e-2], "extensions": 0, "examples": 4},
        "general": "cafe_facts",
        "texts": 2,
    }
    continual["training"] |= {"epochs": 1, "batch_size": 4}
    config["generalisation"]["overlap_ablation"] = {"pairs": "all", "trained": [10], "shares": [50], "draws": 2}
    return config


def project_copy(folder: Path) -> Path:
    """The folder, with what a run needs of the project in it."""
    for name in ("workflow", "profiles", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def command(config: str, *options: str) -> list[str]:
    """The plain command, with a config file."""
    return [SNAKEMAKE, "--configfile", config, *options]


def run(folder: Path, config: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Snakemake in a folder, to its end."""
    return subprocess.run(
        command(config, *options), cwd=folder, capture_output=True, text=True, env={**os.environ, **environment}
    )


def result_files(folder: Path) -> list[Path]:
    """All outputs of rules of the small run but those that say times; no logs, nor what trainings keep on the way."""
    results = folder / "results" / "small"
    files = (file.relative_to(results) for file in results.rglob("*") if file.is_file())
    kept = (file for file in files if file.parts[0] not in NO_RESULT and not str(file).startswith(TIMED))
    return sorted(results / file for file in kept)


def bytes_of(folder: Path) -> dict[str, str]:
    """Path within the folder → hash of its bytes, of all outputs of the small run."""
    return {
        str(file.relative_to(folder)): hashlib.blake2b(file.read_bytes(), digest_size=12).hexdigest()
        for file in result_files(folder)
        if not file.name.startswith(".")
    }


def jobs(folder: Path, config: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The spec and the files of every job of a run."""
    shown = run(folder, config, "--dry-run", "--printshellcmds", "--forceall").stdout
    yield from jobs_in(shown)


def jobs_in(dry_run: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The spec and the files of every job of a dry-run that printed shell commands."""
    lines = iter(dry_run.splitlines())
    for line in lines:
        if '"$TASKNEURONS_RUNNER"' in line:
            results = re.search(r"--log '?(\S+?)/logs/", line)[1]  # type: ignore[index]
            yield json.loads(next(lines)), json.loads(located(next(lines), results))


def tail(text: str, lines: int = 3) -> str:
    """The last lines of an output."""
    return "\n".join(text.strip().splitlines()[-lines:])


def outcome(case: dict[str, Any], what: str, message: str) -> dict[str, str]:
    """What came of a case, as it is kept."""
    return {"name": case["name"], "outcome": what, "message": message}
