"""What a model answers to a task's examples, how good that is, and the file that it is written to."""

from pathlib import Path
from typing import Any

import pandas as pd

from taskneurons.config.settings import Evaluation
from taskneurons.core.artifacts import write_frame
from taskneurons.data.encoding import Encoded
from taskneurons.data.labels import label_tokens
from taskneurons.data.task import Task
from taskneurons.evaluation.classification import label_scores
from taskneurons.evaluation.generation import generate, rouge_l
from taskneurons.models.loaded import LoadedModel


def predict(
    loaded: LoadedModel, task: Task, examples: list[Encoded], settings: Evaluation
) -> tuple[list[str], list[float]]:
    """Predictions and scores (0–1) of the first `len(examples)` examples of a task."""
    prompts = [example.prompt for example in examples]
    first = slice(len(examples))
    if task.metric == "accuracy":
        labels = label_tokens(loaded.tokenizer, task)
        scores = label_scores(loaded, prompts, labels, settings.batch_size, settings.label_score, task.key)
        best = scores.argmax(dim=1)
        predictions = [task.label_words[number] for number in best.tolist()]
        return predictions, [
            float(word == target) for word, target in zip(predictions, task.targets[first], strict=True)
        ]
    predictions = generate(loaded, prompts, task.budget.target, settings.batch_size, task.key)
    return predictions, [rouge_l(text, known) for text, known in zip(predictions, task.references[first], strict=True)]


def predictions_frame(condition: str, predictions: list[str], scores: list[float]) -> pd.DataFrame:
    """The rows of one condition."""
    return pd.DataFrame(
        {"condition": condition, "id": range(len(predictions)), "prediction": predictions, "score": scores}
    )


def write_predictions(
    path: Path, frames: list[pd.DataFrame], task: Task, examples: list[Encoded], provenance: dict[str, Any]
) -> None:
    """Write the rows of all conditions, with what the tables say of the test examples."""
    provenance = {
        **provenance,
        "metric": task.metric,
        "n_test": len(task),
        "lost": task.lost,
        "truncated_prompts": sum(example.prompt_truncated for example in examples) / len(examples),
        "truncated_targets": sum(example.target_truncated for example in examples) / len(examples),
    }
    write_frame(path, pd.concat(frames, ignore_index=True), "predictions", provenance)
