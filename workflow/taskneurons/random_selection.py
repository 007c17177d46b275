"""Draw random neurons, as many as a task has: the control of every deactivation and of neuron tuning.

The numbers are matched over all layers together or, with `random_scope: per-layer`, with those of the mask in every
layer. Under one k all tasks have the same number of neurons in all layers together, so that one draw serves all of
them; those in each layer differ, so that each task gets draws of its own.
"""

import argparse
from pathlib import Path

from taskneurons import command
from taskneurons.neuron_set import random_in_layers, random_set, read_mask, write_mask


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    example, made = read_mask(arguments.like)
    seed = [spec["seed"], spec["draw"]]
    if spec["random_scope"] == "per-layer":
        neurons = random_in_layers(example.counts(), example.widths, seed)
    else:
        neurons = random_set(len(example), example.widths, seed)
    name = {"set": f"random-{spec['draw']}", "rule": "random", "k": made["k"], "draw": spec["draw"]}
    write_mask(arguments.out, neurons, made["experts"], None, {"spec": spec, **name, "model": made["model"]})


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--like", type=Path, required=True, help="a task's mask: draw as many neurons (Parquet)")
    options.add_argument("--out", type=Path, required=True, help="write the mask here (Parquet)")
    command.run(main, options)
