"""What a run says at its end where jobs failed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from reliability.model_folders import model_folder
from reliability.small import project_copy


def test_one_screen_tells_what_failed_and_how_to_go_on(tmp_path):
    project_copy(tmp_path)
    model_folder(tmp_path / "model")
    (tmp_path / "good.csv").write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(60)))
    (tmp_path / "bad.csv").write_text("text,label\n" + "".join(f"text {n},{n}\n" for n in range(60)))
    task = {"family": "f", "prompt": "{text} :", "target": "label", "labels": {"0": "no", "1": "yes"}}
    tasks = {name: {**task, "source": {"local": {"path": f"{name}.csv"}}} for name in ("good", "bad")}
    config = {"run": "r", "model": {"name": "m", "source": {"path": "model"}}, "tasks": tasks}
    (tmp_path / "mine.json").write_text(json.dumps({**config, "data": {"tokens": {"prompt": 20, "target": 4}}}))
    targets = [f"results/r/data/{name}/{split}.parquet" for name in tasks for split in ("train", "test")]
    command = ["--configfile", "mine.json", "--cores", "1", "--keep-going", "--", *targets]
    found = subprocess.run(
        [str(Path(sys.executable).parent / "snakemake"), *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "TASKNEURONS_WARM": "off"},
    )
    assert found.returncode == 1
    screen = found.stderr[found.stderr.index(" jobs failed:") - 1 :]
    assert screen.startswith("2 jobs failed:")
    for split in ("train", "test"):
        assert f"prepare_data (task=bad, split={split}): results/r/logs/prepare_data/bad-{split}.log" in screen
    assert screen.count("Error: ") == 2 and "task=good" not in screen
    assert f"snakemake {' '.join(command)}" in screen
    assert (tmp_path / targets[0]).exists()
