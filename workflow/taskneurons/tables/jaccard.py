"""The Jaccard overlap of the neurons of any two tasks, in percent, beside the level of chance."""

from pathlib import Path
from typing import Any

from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.neuron_set import chance_jaccard
from taskneurons.tables.common import TableSettings


def rows(settings: TableSettings, *, masks: list[Path]) -> list[dict[str, Any]]:
    """One row an ordered pair of tasks."""
    tasks = settings.tasks
    sets = [(tasks[mask["set"]]["name"], neurons) for neurons, mask in map(read_mask, masks)]
    return [
        {
            "task": first,
            "other_task": second,
            "value": 100 * one.jaccard(other),
            "chance": 100.0 if first == second else 100 * chance_jaccard(len(one), len(other), sum(one.widths)),
        }
        for first, one in sets
        for second, other in sets
    ]
