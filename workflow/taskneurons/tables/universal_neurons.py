"""The universal neurons: those in at least half of all tasks' top k %, with their mean outputs.

The k is selection.k, the scores are by the run's reference. A task's top k holds them because they hold the model up,
not because they serve that task; what they do alone is in the table specificity.
"""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.core.artifacts import read_frame
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mask_file import read_mask
from taskneurons.selection.comparison import universal_of
from taskneurons.tables.common import TableSettings


def rows(settings: TableSettings, *, masks: list[Path], means: list[Path]) -> list[dict[str, Any]]:
    """One row a universal neuron, those of most tasks first.

    Args:
        masks: the own sets of all tasks.
        means: the mean outputs of the model that scored them.
    """
    sets = [read_mask(path) for path in masks]
    members = np.sum([neurons.selected for neurons, _ in sets], axis=0)
    universal = universal_of([neurons for neurons, _ in sets]).selected
    widths, experts = sets[0][0].widths, sets[0][1]["experts"]
    outputs, _ = read_frame(means[0], "mean outputs")
    frame = neuron_index(widths, experts).assign(n_tasks=members, mean_output=outputs["mean"])[universal]
    of_layer = 100 * frame.groupby("layer").size() / np.array(widths)[sorted(set(frame["layer"]))]
    frame["layer_pct"] = frame["layer"].map(of_layer)  # percent of the layer's neurons that are universal
    frame["reference"] = settings["attribution.reference"]
    frame["all_pct"] = 100 * universal.mean()  # percent of all neurons that are
    frame = frame.sort_values(["n_tasks", "layer", "expert", "neuron"], ascending=[False, True, True, True])
    return frame.to_dict("records")
