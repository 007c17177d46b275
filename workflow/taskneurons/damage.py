"""How much a task suffers when sets of neurons, chosen by several rules for several tasks, are switched off.

One row an example and set: rule, k, masked_task, draw, measure, id, value. The measure "loss" is the mean loss of the
example's target tokens (nats); "score" is what the evaluation gives (0–1), for the rules and k in `scored`. The rule
"none" is the model as it is.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from taskneurons import command
from taskneurons.artifacts import write_frame
from taskneurons.attribution import Pair, batch_results
from taskneurons.deactivation import deactivated
from taskneurons.encoding import Batch, sample_losses
from taskneurons.models import LoadedModel, check_made_on, load_model
from taskneurons.neuron_set import NeuronSet, read_mask
from taskneurons.prediction import predict
from taskneurons.progress import progress
from taskneurons.task import read_task


@torch.no_grad()
def target_losses(loaded: LoadedModel, pairs: list[Pair], settings: dict[str, Any]) -> list[float]:
    """L of every example: the mean loss of its target tokens, in nats.

    Args:
        settings: batch_size, batch_tokens.
    """

    def losses(batch: Batch) -> torch.Tensor:
        with loaded.compute.autocast():
            return sample_losses(loaded.model, batch).double().cpu()

    found = [0.0] * len(pairs)
    for rows, values in batch_results(loaded, pairs, settings, losses, None):
        for row, value in zip(rows, values.tolist(), strict=True):
            found[row] = value
    return found


def read_sets(paths: list[Path], identity: dict[str, Any]) -> list[tuple[dict[str, Any], NeuronSet | None]]:
    """The sets with what names them (rule, k, masked_task, draw), the model as it is first.

    Raises:
        UserError: a set was not made on this model.
    """
    nothing = {"rule": "none", "k": 0.0, "masked_task": "none", "draw": 0}
    sets: list[tuple[dict[str, Any], NeuronSet | None]] = [(nothing, None)]
    for path in paths:
        neurons, made = read_mask(path)
        check_made_on(path, made, identity)
        draw = made.get("draw", 0)
        sets.append(({"rule": made["rule"], "k": float(made["k"]), "masked_task": made["set"], "draw": draw}, neurons))
    return sets


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    loaded = load_model(arguments.model, spec["compute"])
    task = read_task(arguments.data)
    examples = task.encoded(loaded.tokenizer)
    settings = {"batch_size": spec["evaluation"]["batch_size"], "batch_tokens": spec["batch_tokens"]}
    pairs = [example.pair for example in examples[: spec["damage"]["examples"]]]
    scored = {(rule, float(k)) for rule, percents in spec["damage"]["scored"].items() for k in percents}
    sets = read_sets(arguments.masks, loaded.identity)
    known: dict[tuple[str, bytes], list[float]] = {}  # equal sets, as the shared core of every task, are tried once
    frames = []
    for name, neurons in progress(sets, f"damage {task.key}", len(sets)):
        measures = ["loss"]
        if scored and (name["rule"] == "none" or (name["rule"], name["k"]) in scored):
            measures.append("score")
        for measure in measures:
            key = (measure, b"" if neurons is None else neurons.selected.tobytes())
            if key not in known:
                with deactivated(loaded.model, neurons):
                    if measure == "loss":
                        known[key] = target_losses(loaded, pairs, settings)
                    else:
                        first = examples[: spec["damage"]["scored_examples"]]
                        known[key] = predict(loaded, task, first, spec["evaluation"])[1]
            values = known[key]
            columns = {"measure": measure, "id": range(len(values)), "value": values}
            size = 0 if neurons is None else len(neurons)
            frames.append(pd.DataFrame({**name, "n_neurons": size, **columns}))
    metadata = {"spec": spec, **task.facts(loaded)}
    write_frame(arguments.out, pd.concat(frames, ignore_index=True), "damage", metadata)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the model's folder")
    options.add_argument("--data", type=Path, required=True, help="the task's test split (Parquet)")
    options.add_argument("--masks", type=Path, nargs="+", required=True, help="the sets to switch off, one at a time")
    options.add_argument("--out", type=Path, required=True, help="write the losses and scores here (Parquet)")
    command.run(main, options)
