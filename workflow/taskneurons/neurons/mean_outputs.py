"""The mean output ω̄ of every neuron of a model: what mean ablation puts in an output's place, and as a Parquet file.

The mean is over tokens that are no sinks (`sinks`), tasks weighted alike; in a mixture over the tokens that are routed
to the neuron's expert. `attribution/mean_outputs.py` makes the file: layer, expert, neuron, mean, n_tokens.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from taskneurons.core.artifacts import read_frame
from taskneurons.neurons.blocks import blocks, flags_of_blocks
from taskneurons.neurons.neuron_set import NeuronSet

KIND = "mean outputs"


@dataclass(frozen=True)
class MeanOutputs:
    """Every neuron's mean output.

    Attributes:
        values: (n_neurons,), float64, all layers one after the other from the bottom up; 0 for a neuron of an expert
            that got no token.
        widths: neurons of each layer, of all its experts together.
        model: the identity of the model whose outputs they are; None where any model of these widths takes them.
    """

    values: np.ndarray
    widths: tuple[int, ...]
    model: str | None = None

    def of_blocks(self, model: PreTrainedModel) -> list[torch.Tensor]:
        """The values of each block, (d_ff,), float64.

        Raises:
            ValueError, UserError: they are of another model, as `flags_of_blocks` tells.
        """
        flags_of_blocks(model, NeuronSet(np.ones(len(self.values), dtype=bool), self.widths, self.model))
        return list(torch.tensor(self.values).split([block.width for block in blocks(model)]))


def read_means(paths: list[Path]) -> MeanOutputs | None:
    """The mean outputs of a file; None where no file is given, which stands for outputs of zero.

    Raises:
        UserError: as `read_frame` does.
    """
    if not paths:
        return None
    (path,) = paths
    frame, provenance = read_frame(path, KIND)
    return MeanOutputs(frame["mean"].to_numpy(dtype=float), tuple(provenance["widths"]), provenance["model"])
