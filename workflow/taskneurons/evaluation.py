"""Evaluate one model on one task under many conditions: as it is, and with each given set of neurons switched off.

Writes one row an example and condition: condition (the name of the set, "none" for the model as it is), id,
prediction, score (0–1: correct or not, or ROUGE-L F1). Other tasks' sets (the cross-task matrix) may be limited to the
first examples.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from taskneurons import command
from taskneurons.artifacts import write_frame
from taskneurons.classification import label_scores, label_tokens
from taskneurons.deactivation import deactivated
from taskneurons.encoding import Encoded
from taskneurons.errors import UserError
from taskneurons.generation import generate, rouge_l
from taskneurons.models import LoadedModel, check_made_on, load_model
from taskneurons.neuron_set import NeuronSet, read_mask
from taskneurons.progress import progress
from taskneurons.task import Task, read_task


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


def read_conditions(paths: list[Path], identity: dict[str, Any]) -> dict[str, NeuronSet]:
    """The neuron sets by name, after checking that each was made on this model or on the model it was trained from."""
    conditions = {}
    for path in paths:
        neurons, made = read_mask(path)
        check_made_on(path, made, identity)
        if made["set"] in conditions:
            raise UserError(f"{path} holds the set {made['set']!r}, which another mask holds already")
        conditions[made["set"]] = neurons
    return conditions


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


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    settings = spec["evaluation"]
    loaded = load_model(arguments.model, spec["compute"])
    task = read_task(arguments.data)
    examples = task.encoded(loaded.tokenizer)
    conditions: dict[str, NeuronSet | None] = {"none": None, **read_conditions(arguments.masks, loaded.identity)}
    frames = []
    for name, neurons in progress(conditions.items(), f"evaluation {task.key}", len(conditions)):
        of_another_task = name in spec["tasks"] and name != task.key
        limit = settings["cross_task_examples"] if of_another_task else None
        with deactivated(loaded.model, neurons):
            predictions, scores = predict(loaded, task, examples[:limit], settings)
        frames.append(predictions_frame(name, predictions, scores))
    write_predictions(arguments.out, frames, task, examples, {"spec": spec, **task.facts(loaded)})


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the model's folder")
    options.add_argument("--data", type=Path, required=True, help="the task's test split (Parquet)")
    options.add_argument("--masks", type=Path, nargs="*", default=[], help="the sets to switch off, one at a time")
    options.add_argument("--out", type=Path, required=True, help="write the predictions here (Parquet)")
    command.run(main, options)
