"""The modules of a loaded model that read its neurons' outputs."""

from typing import cast

from torch import nn
from transformers import PreTrainedModel

from taskneurons.errors import UserError
from taskneurons.families import feed_forward


def readers(model: PreTrainedModel) -> list[nn.Linear]:
    """The reader modules of a transformers model, from the bottom layer up.

    A module hook on a reader's input sees ω as (batch, tokens, neurons).

    Raises:
        UserError: the model's family has no entry, or the model bypasses its FFN modules.
    """
    config = model.config
    if config.model_type == "bloom" and config.slow_but_exact and config.pretraining_tp > 1:
        raise UserError("Bloom with slow_but_exact and pretraining_tp > 1 bypasses its FFN modules: switch it off")
    family = feed_forward(config.model_type)
    layers = cast(nn.ModuleList, model.get_submodule(family.layers))
    return [cast(nn.Linear, layer.get_submodule(family.reader)) for layer in layers]


def widths(model: PreTrainedModel) -> list[int]:
    """The number of neurons of each layer, from the bottom up."""
    return [reader.in_features for reader in readers(model)]
