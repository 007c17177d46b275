"""What a model answers to a task's examples, how good that is, and the file that it is written to."""

from pathlib import Path
from typing import Any

import pandas as pd

from taskneurons.artifacts import write_frame
from taskneurons.classification import label_scores, label_tokens
from taskneurons.encoding import Encoded
from taskneurons.generation import generate, rouge_l
from taskneurons.models import LoadedModel
from taskneurons.task import Task


def predict(
    loaded: LoadedModel, task: Task, examples: list[Encoded], settings: dict[str, Any]
) -> tuple[list[str], list[float]]:
    """Predictions and scores (0–1) of the first `len(examples)` examples of a task."""
    prompts = [example.prompt for example in examples]
    if task.metric == "accuracy":
        labels = label_tokens(loaded.tokenizer, task)
        best = label_scores(loaded, prompts, labels, settings["batch_size"], settings["label_score"]).argmax(dim=1)
        predictions = [task.label_words[number] for number in best.tolist()]
        return predictions, [float(word == target) for word, target in zip(predictions, task.targets, strict=False)]
    predictions = generate(loaded, prompts, task.budget.target, settings["batch_size"])
    return predictions, [rouge_l(text, known) for text, known in zip(predictions, task.references, strict=False)]


def predictions_frame(condition: str, predictions: list[str], scores: list[float]) -> pd.DataFrame:
    """The rows of one condition."""
    return pd.DataFrame(
        {"condition": condition, "id": range(len(predictions)), "prediction": predictions, "score": scores}
    )


def write_predictions(
    path: Path, frames: list[pd.DataFrame], task: Task, examples: list[Encoded], made_of: dict[str, Any]
) -> None:
    """Write the rows of all conditions, with what the tables say of the test examples."""
    metadata = {
        **made_of,
        "metric": task.metric,
        "n_test": len(task),
        "truncated_prompts": sum(example.prompt_truncated for example in examples) / len(examples),
        "truncated_targets": sum(example.target_truncated for example in examples) / len(examples),
    }
    write_frame(path, pd.concat(frames, ignore_index=True), "predictions", metadata)
