"""How each architecture family stores the neurons of its feed-forward networks (FFN).

A neuron is a hidden unit of an FFN: its output ω_j, after the activation (and the gate, where there is one), is input
j of the matrix that writes back to the residual stream, the *reader*. This module is a table and imports nothing
heavy, so that a configuration can be checked against it at once.
"""

from dataclasses import dataclass

from taskneurons.errors import UserError


@dataclass(frozen=True)
class FeedForward:
    """Where a family keeps its decoder layers and, inside a layer, the neurons.

    Attributes:
        layers: path from the model to the list of decoder layers.
        reader: path from a layer to the matrix whose input is ω; its column j belongs to neuron j.
    """

    layers: str
    reader: str


FAMILIES = {
    "llama": FeedForward(layers="model.layers", reader="mlp.down_proj"),
    "bloom": FeedForward(layers="transformer.h", reader="mlp.dense_4h_to_h"),
}


def feed_forward(model_type: str) -> FeedForward:
    """The entry of a family, by the `model_type` of its transformers config.

    Raises:
        UserError: the family has no entry; the message lists those that have.
    """
    if model_type not in FAMILIES:
        raise UserError(
            f"the model family {model_type!r} is not supported; supported are {', '.join(FAMILIES)} "
            "(docs/architecture.md, 'A new model family', tells how to add one)"
        )
    return FAMILIES[model_type]
