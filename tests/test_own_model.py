"""Ten lines of config are enough for an own model and two own tasks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import SHARED
from reliability.small import project_copy

CONFIG = """
run: mine
model: {name: my-model, source: {path: models/my-model}}
tasks:
  reviews: {family: sentiment, source: {local: {path: data/reviews}}, prompt: "Review: {text}\\nOpinion:", target: label, labels: {"0": bad, "1": good}}
  dialogues: {family: summarisation, source: {local: {path: data/dialogues}}, prompt: "{dialogue}\\nSummary:", target: summary}
"""  # noqa: E501

# Small, and without what the end-to-end run has and a config can leave out.
SMALL = """
data: {sizes: {train: 24, attribution: 8, test: 6}, tokens: {prompt: 40, target: 8}}
training: {epochs: 1}
faithfulness: {tasks: [reviews], examples: 2, neurons: 10, layers: 2, steps: 2}
set_faithfulness: {tasks: [reviews], examples: 2, shares: [3, 30]}
specificity: {percents: [10], grid: [3, 30]}
damage: {examples: 4, scored_examples: 4}
neuron_tuning:
  training: {epochs: 1}
  rates: {grid: [1.0e-4, 1.0e-3], extensions: 0}
  budgets: null
  proportions: null
selection: {random_draws: 1}
tables: {bootstrap: 50}
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """The project beside a model and the data of two tasks: three CSV files, and one JSON-lines file."""
    if not SHARED.is_dir():
        pytest.skip("the real inputs beside the project are absent")
    project_copy(tmp_path)
    shutil.copytree(SHARED / "models" / "stories260K", tmp_path / "models" / "my-model")
    reviews = pd.read_parquet(SHARED / "data" / "sst2" / "train.parquet").head(90).rename(columns={"sentence": "text"})
    articles = pd.read_parquet(SHARED / "data" / "xsum" / "train.parquet").head(60)
    (tmp_path / "data" / "reviews").mkdir(parents=True)
    (tmp_path / "data" / "dialogues").mkdir()
    for split, start in (("train", 0), ("validation", 60), ("test", 75)):
        reviews[start : start + 60 if split == "train" else start + 15].to_csv(
            tmp_path / "data" / "reviews" / f"{split}.csv", index=False
        )
    dialogues = articles.rename(columns={"document": "dialogue"})
    dialogues.to_json(tmp_path / "data" / "dialogues" / "all.jsonl", orient="records", lines=True)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def test_ten_lines_run_to_the_report(project):
    command = [str(Path(sys.executable).parent / "snakemake"), "--configfile", "mine.yaml", "small.yaml"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-5000:]
    assert "config: tasks: dialogues: one data file is split by the seed" in result.stderr
    results = project / "results" / "mine"
    page = (results / "report.html").read_text()
    assert "overlap_rate: groups names no training and test tasks" in page
    assert not (results / "tables" / "overlap_rate.csv").exists()
    table = pd.read_csv(results / "tables" / "deactivation.csv")
    assert set(table["task"]) == {"reviews", "dialogues"}
    assert dict(table.groupby("task")["metric"].first()) == {"reviews": "accuracy", "dialogues": "rougeL"}
    splits = [pd.read_parquet(results / "data" / "dialogues" / f"{name}.parquet") for name in ("train", "test")]
    assert not set(splits[0]["prompt"]) & set(splits[1]["prompt"])
