"""Forward-only values of every neuron on a task's attribution examples, for the selection rules that compare them.

Columns: layer, expert, neuron, and the criteria that the rules need.
"""

import argparse
from pathlib import Path

from taskneurons import command
from taskneurons.artifacts import write_frame
from taskneurons.criteria import CRITERIA
from taskneurons.feed_forward import experts, widths
from taskneurons.models import load_model
from taskneurons.neuron_set import neuron_index
from taskneurons.task import read_task


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    loaded = load_model(arguments.model, spec["compute"])
    task = read_task(arguments.data)
    pairs = [example.pair for example in task.encoded(loaded.tokenizer)]
    frame = neuron_index(widths(loaded.model), experts(loaded.model))
    for name in spec["criteria"]:
        frame[name] = CRITERIA[name](loaded, pairs, spec["attribution"])
    metadata = {
        "spec": spec,
        **task.facts(loaded),
        "widths": widths(loaded.model),
        "experts": experts(loaded.model),
    }
    write_frame(arguments.out, frame, "activations", metadata)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the model's folder")
    options.add_argument("--data", type=Path, required=True, help="the task's attribution split (Parquet)")
    options.add_argument("--out", type=Path, required=True, help="write the values here (Parquet)")
    command.run(main, options)
