"""A preset replaces the embedded default: nothing of it is left in the DAG."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from reliability.model_folders import model_folder
from reliability.small import project_copy

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


def test_the_full_grid_is_the_embedded_suite(tmp_path):
    """tiny-full has no tasks of its own: it is merged into config.yaml."""
    project_copy(tmp_path)
    command = [str(Path(sys.executable).parent / "snakemake"), "--dry-run"]
    command += ["--configfile", "workflow/presets/tiny-full.yaml"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ALONE)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert "results/tiny-full/masks/multitask-seed2/film_reviews/global10.parquet" in output


def test_neuron_tuning_can_be_left_out(tmp_path):
    project_copy(tmp_path)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["neuron_tuning"] = None
    (tmp_path / "without.yaml").write_text(yaml.safe_dump(config))
    command = [str(Path(sys.executable).parent / "snakemake"), "--dry-run", "--configfile", "without.yaml"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ALONE)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert "rule neuron_tuning:" not in output and "deltas/" not in output
    assert "rule report:" in output
