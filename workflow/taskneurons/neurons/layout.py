"""The order in which a model's neurons are listed: layer by layer, a mixture's experts one after the other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

Experts = Sequence[int | None]  # the number of experts of each layer; None for a dense layer


def neuron_index(widths: Sequence[int], experts: Experts | None = None) -> pd.DataFrame:
    """The columns layer, expert (null in dense layers) and neuron of every neuron, in the order of the flags.

    In a layer of several experts the neurons come expert by expert, and `neuron` counts within the expert.

    Args:
        widths: neurons of each layer, of all its experts together.
        experts: the number of experts of each layer, None for a dense one; not given, all are dense.
    """
    parts = []
    for layer, (width, number) in enumerate(zip(widths, experts or [None] * len(widths), strict=True)):
        each = width // (number or 1)
        part = pd.DataFrame({"layer": layer, "expert": pd.array([None] * width, "Int32"), "neuron": np.arange(width)})
        if number is not None:
            part["expert"] = pd.array(np.arange(width) // each, "Int32")
            part["neuron"] %= each
        parts.append(part)
    return pd.concat(parts, ignore_index=True).astype({"layer": "int32", "neuron": "int32"})


def neuron_positions(frame: pd.DataFrame, widths: Sequence[int], experts: Experts) -> np.ndarray:
    """The positions among all neurons of the rows of a frame with the columns of `neuron_index`."""
    starts = np.cumsum(widths) - widths
    each = np.array([width // (number or 1) for width, number in zip(widths, experts, strict=True)])
    layer, expert = frame["layer"].to_numpy(), frame["expert"].fillna(0).to_numpy(dtype=int)
    return starts[layer] + expert * each[layer] + frame["neuron"].to_numpy()
