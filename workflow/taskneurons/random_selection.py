"""Draw random neurons, as many as a task has: the control that every deactivation is compared with.

Under one k all tasks have the same number of neurons, so that one draw serves all of them.
"""

import argparse
from pathlib import Path

from taskneurons import command
from taskneurons.neuron_set import random_set, read_mask, write_mask


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    example, made = read_mask(arguments.like)
    neurons = random_set(len(example), example.widths, [spec["seed"], spec["draw"]])
    write_mask(arguments.out, neurons, None, {"spec": spec, "set": f"random-{spec['draw']}", "model": made["model"]})


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--like", type=Path, required=True, help="a task's mask: draw as many neurons (Parquet)")
    options.add_argument("--out", type=Path, required=True, help="write the mask here (Parquet)")
    command.run(main, options)
