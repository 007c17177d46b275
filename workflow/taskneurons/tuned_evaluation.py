"""Evaluate the base model on one task with each of the deltas of neuron tuning in it, one at a time.

Writes the columns of an evaluation. A condition is the trained set's name (the task whose neurons they are, or a random
draw); `<set>-on-<task>` for a task's neurons that were trained on another task's data; `top<k>` where the sets are one
task's at several k.
"""

import argparse
from pathlib import Path
from typing import Any

from taskneurons import command
from taskneurons.delta import read_delta, with_delta
from taskneurons.errors import UserError
from taskneurons.models import load_model
from taskneurons.prediction import predict, predictions_frame, write_predictions
from taskneurons.progress import progress
from taskneurons.task import read_task


def condition(facts: dict[str, Any], named_by: str) -> str:
    """A delta's name among the conditions; `named_by` is "set" or "k"."""
    if named_by == "k":
        return f"top{facts['k']:g}"
    of_another_task = facts["rule"] != "random" and facts["set"] != facts["task"]
    return f"{facts['set']}-on-{facts['task']}" if of_another_task else facts["set"]


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    settings = spec["evaluation"]
    loaded = load_model(arguments.model, spec["compute"])
    task = read_task(arguments.data)
    examples = task.encoded(loaded.tokenizer)
    frames: dict[str, Any] = {}
    for path in progress(arguments.deltas, f"evaluation {task.key}", len(arguments.deltas)):
        delta = read_delta(path)
        name = condition(delta.facts, spec["named_by"])
        if name in frames:
            raise UserError(f"{path} is of the condition {name!r}, which another delta is of already")
        crossed = delta.facts["task"] != task.key or name.endswith(f"-on-{task.key}")  # its data, or its neurons
        limit = settings["cross_task_examples"] if crossed else None
        with with_delta(loaded, delta) as tuned:
            predictions, scores = predict(tuned, task, examples[:limit], settings)
        frames[name] = predictions_frame(name, predictions, scores)
    write_predictions(arguments.out, list(frames.values()), task, examples, {"spec": spec, **task.facts(loaded)})


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the base model's folder")
    options.add_argument("--data", type=Path, required=True, help="the task's test split (Parquet)")
    options.add_argument("--deltas", type=Path, nargs="+", required=True, help="the deltas, applied one at a time")
    options.add_argument("--out", type=Path, required=True, help="write the predictions here (Parquet)")
    command.run(main, options)
