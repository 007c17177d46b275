"""Faithfulness: how well each criterion tells which neurons matter, against the exact effect of switching each one off.

For a seeded sample of neurons and the first attribution examples of a task: the exact effect on the loss (the truth)
and the value of every criterion, one row a neuron: layer, expert, neuron, exact, and one column a criterion.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from taskneurons import command
from taskneurons.artifacts import write_frame
from taskneurons.criteria import available_criteria
from taskneurons.exact_ablation import exact_effect, loss_changes, sampled_neurons
from taskneurons.feed_forward import experts, widths
from taskneurons.models import load_model
from taskneurons.neuron_set import neuron_index
from taskneurons.task import read_task


def main(arguments: argparse.Namespace) -> None:
    spec: dict[str, Any] = arguments.spec
    loaded = load_model(arguments.model, spec["compute"])
    task = read_task(arguments.data)
    settings = {**spec["attribution"], "steps": spec["faithfulness"]["steps"]}
    # The random criterion draws anew for each model and task: one draw for all would look like a finding.
    settings["seed"] = [spec["seed"], *f"{loaded.identity['state']}/{task.key}".encode()]
    examples = task.encoded(loaded.tokenizer)[: spec["faithfulness"]["examples"]]
    pairs = [example.pair for example in examples]
    index = neuron_index(widths(loaded.model), experts(loaded.model))
    wanted = spec["faithfulness"]
    neurons = sampled_neurons(index, wanted["layers"], wanted["neurons"], spec["seed"])
    settings["layers"] = sorted(set(neurons["layer"]))
    frame = neurons.reset_index(drop=True)
    # What single neurons do to the loss is smaller than what narrow numbers tell apart: the truth is in float32.
    in_float32 = {**spec["compute"], "dtype": "float32", "weights": "float32"}
    exactly = loaded if loaded.compute.dtype == torch.float32 else load_model(arguments.model, in_float32)
    changes = loss_changes(exactly, pairs, neurons.index.tolist(), settings)
    frame["exact"] = exact_effect(changes, settings["aggregation"])
    for name, criterion in available_criteria(loaded.model).items():
        frame[name] = criterion(loaded, pairs, settings)[neurons.index]
    metadata = {
        "spec": spec,
        **task.facts(loaded),
        "state": loaded.identity["state"],
        "n_examples": len(pairs),
    }
    write_frame(arguments.out, frame, "faithfulness", metadata)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the model's folder")
    options.add_argument("--data", type=Path, required=True, help="the task's attribution split (Parquet)")
    options.add_argument("--out", type=Path, required=True, help="write the comparison here (Parquet)")
    command.run(main, options)
