"""Stability: the Jaccard index of the masks that two disjoint sets of examples choose, against the number of examples.

Each pair of disjoint random subsets is scored by itself and its top k % selected. Chance is what two independent random
sets of k % share.
"""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.core.artifacts import read_frame
from taskneurons.neurons.neuron_set import chance_jaccard, top_share
from taskneurons.tables.common import TableSettings


def rows(settings: TableSettings, *, subset_scores: list[Path]) -> list[dict[str, Any]]:
    """One row a task and number of examples: mean, smallest and largest over the repeats, in percent."""
    result = []
    for path in subset_scores:
        frame, provenance = read_frame(path, "subset scores")
        widths = tuple(provenance["widths"])
        masks = {
            tuple(name.split("_")): top_share(
                frame[name].to_numpy(), settings["selection.k"], widths, settings["selection.scope"]
            )
            for name in frame.columns.drop(["layer", "expert", "neuron"])
        }
        for size in dict.fromkeys(size for size, _, _ in masks):
            agreement = [
                100 * mask.jaccard(masks[size, repeat, "b"])
                for (other, repeat, side), mask in masks.items()
                if other == size and side == "a"
            ]
            number = len(masks[size, "0", "a"])
            result.append(
                {
                    "task": settings.tasks[provenance["task"]]["name"],
                    "n_examples": int(size),
                    "value": float(np.mean(agreement)),
                    "smallest": min(agreement),
                    "largest": max(agreement),
                    "chance": 100 * chance_jaccard(number, number, sum(widths)),
                    "n_repeats": len(agreement),
                }
            )
    return result
