"""Evaluate one model on one task under many conditions: as it is, and with each given set of neurons switched off.

Writes one row an example and condition: condition (the name of the set, "none" for the model as it is), id,
prediction, score (0–1: correct or not, or ROUGE-L F1). Other tasks' sets (the cross-task matrix) may be limited to the
first examples.
"""

import argparse
from pathlib import Path
from typing import Any

from taskneurons import command
from taskneurons.deactivation import deactivated
from taskneurons.errors import UserError
from taskneurons.models import check_made_on, load_model
from taskneurons.neuron_set import NeuronSet, read_mask
from taskneurons.prediction import predict, predictions_frame, write_predictions
from taskneurons.progress import progress
from taskneurons.task import read_task


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
