"""Snakemake's output cache: runs of different names share models and scores, until code that makes them changes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from reliability.model_folders import model_folder
from reliability.small import project_copy


def taken_from_the_cache(folder: Path, run: str) -> set[str]:
    """What a run takes, of a base model and a task's scores by it, below its folder."""
    target = f"results/{run}/scores/base/mine.parquet"
    command = [str(Path(sys.executable).parent / "snakemake"), "--cache", "--configfile", f"{run}.json", "--", target]
    environment = {**os.environ, "SNAKEMAKE_OUTPUT_CACHE": str(folder / "cache")}
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    assert (folder / target).is_file()
    moved = set(re.findall(rf"Moving output file results/{run}/(\S+) to cache", found.stderr))
    linked = set(re.findall(rf"Symlinking output file results/{run}/(\S+) from cache", found.stderr))
    return {"models/base" if "models/base/" in path else path for path in linked} - moved


def test_runs_of_other_names_share_models_and_scores_until_their_code_changes(tmp_path):
    project_copy(tmp_path)
    (tmp_path / "cache").mkdir()
    model_folder(tmp_path / "model")
    (tmp_path / "mine.csv").write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(60)))
    task = {"family": "f", "prompt": "{text} :", "target": "label", "labels": {"0": "no", "1": "yes"}}
    config = {
        **{"model": {"name": "m", "source": {"path": "model"}}, "compute": {"device": "cpu"}},
        "tasks": {"mine": {**task, "source": {"local": {"path": "mine.csv"}}}},
        "data": {"tokens": {"prompt": 20, "target": 4}},
    }
    for number, run in enumerate(("one", "two", "three")):
        own = {"run": run, "selection": {"k": number + 1}}  # k has no part in scores
        (tmp_path / f"{run}.json").write_text(json.dumps(config | own))
    assert taken_from_the_cache(tmp_path, "one") == set()
    both = {"models/base", "scores/base/mine.parquet"}
    assert taken_from_the_cache(tmp_path, "two") == both
    file = tmp_path / "workflow" / "taskneurons" / "attribution" / "scores.py"
    file.write_text(file.read_text() + "\nCHANGED = 1\n")
    assert taken_from_the_cache(tmp_path, "three") == {"models/base"}
