"""The Jaccard overlap of the neurons of any two tasks, in percent, beside the level of chance."""

import argparse
from typing import Any

from taskneurons.neuron_set import chance_jaccard, read_mask
from taskneurons.tables.common import table_command


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row an ordered pair of tasks."""
    tasks = arguments.spec["tasks"]
    masks = [(tasks[made["set"]]["name"], neurons) for neurons, made in map(read_mask, arguments.masks)]
    return [
        {
            "task": first,
            "other_task": second,
            "value": 100 * one.jaccard(other),
            "chance": 100.0 if first == second else 100 * chance_jaccard(len(one), len(other), sum(one.widths)),
        }
        for first, one in masks
        for second, other in masks
    ]


if __name__ == "__main__":
    table_command(__doc__, {"masks": "the mask of every task"}, rows)
