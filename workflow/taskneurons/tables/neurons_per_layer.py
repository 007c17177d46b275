"""How many of each task's neurons every layer holds."""

from pathlib import Path
from typing import Any

from taskneurons.neurons.mask_file import read_mask
from taskneurons.tables.common import TableSettings


def rows(settings: TableSettings, *, masks: list[Path]) -> list[dict[str, Any]]:
    """One row a task and layer: the number of selected neurons and their share of the layer, in percent."""
    result = []
    for path in masks:
        neurons, mask = read_mask(path)
        for layer, (count, width) in enumerate(zip(neurons.counts(), neurons.widths, strict=True)):
            name = settings.tasks[mask["set"]]["name"]
            result.append({"task": name, "layer": layer, "n_neurons": count, "value": 100 * count / width})
    return result
