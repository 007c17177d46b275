"""How many of each task's neurons every layer holds."""

import argparse
from typing import Any

from taskneurons.neuron_set import read_mask
from taskneurons.tables.common import table_command


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a task and layer: the number of selected neurons and their share of the layer, in percent."""
    result = []
    for path in arguments.masks:
        neurons, made = read_mask(path)
        for layer, (count, width) in enumerate(zip(neurons.counts(), neurons.widths, strict=True)):
            name = arguments.spec["tasks"][made["set"]]["name"]
            result.append({"task": name, "layer": layer, "n_neurons": count, "value": 100 * count / width})
    return result


if __name__ == "__main__":
    table_command(__doc__, {"masks": "the mask of every task"}, rows)
