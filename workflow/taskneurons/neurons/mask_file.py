"""Masks: a neuron set as a Parquet file, one row a neuron."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.neurons.layout import Experts, neuron_index, neuron_positions
from taskneurons.neurons.neuron_set import NeuronSet


def write_mask(
    path: str | Path, neurons: NeuronSet, experts: Experts, scores: np.ndarray | None, provenance: dict[str, Any]
) -> None:
    """Write a mask: one row a selected neuron with layer, expert, neuron, score and rank (1 = largest; null if random).

    Args:
        experts: the number of experts of each layer, None for dense layers.
        scores: (n_neurons,); None for random sets.
    """
    frame = neuron_index(neurons.widths, experts)[neurons.selected].reset_index(drop=True)
    if scores is None:
        frame["score"] = pd.Series([None] * len(frame), dtype="Float64")
        frame["rank"] = pd.Series([None] * len(frame), dtype="Int64")
    else:
        frame["score"] = scores[neurons.selected]
        frame["rank"] = frame["score"].rank(ascending=False, method="first").astype("Int64")
        frame = frame.sort_values("rank").reset_index(drop=True)
    write_frame(path, frame, "mask", {**provenance, "widths": list(neurons.widths), "experts": list(experts)})


def of_model(provenance: dict[str, Any]) -> dict[str, Any]:
    """What a mask says of the model, by the provenance of what it was made of."""
    return {key: provenance.get(key) for key in ("model", "state", "seed", "reference")}


def read_mask(path: str | Path) -> tuple[NeuronSet, dict[str, Any]]:
    """The neuron set of a mask file, which fits the model that it was made on; and the file's provenance.

    Raises UserError as `read_frame` does.
    """
    frame, provenance = read_frame(path, "mask")
    widths = tuple(provenance["widths"])
    selected = np.zeros(sum(widths), dtype=bool)
    selected[neuron_positions(frame, widths, provenance["experts"])] = True
    return NeuronSet(selected, widths, provenance.get("model")), provenance
