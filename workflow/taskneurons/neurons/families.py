"""How each architecture family stores the neurons of its feed-forward networks (FFN).

A neuron is a hidden unit of an FFN: its output ω_j, after the activation (and the gate, where there is one), is input
j of the matrix that writes back to the residual stream, the *reader*. This module is a table and imports nothing
heavy, so that a configuration can be checked against it at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from taskneurons.core.errors import UserError


@dataclass(frozen=True)
class Family:
    """Where a family keeps its decoder layers and, inside a layer, the neurons.

    Attributes:
        layers: path from the model to the list of decoder layers.
        reader: path from a layer to the matrix whose input is ω.
        writers: paths from a layer to the matrices whose outputs make ω: gate and up, both in one (neuron j then owns
            outputs j and d_ff + j), or the only one of an FFN without a gate.
        gate: path from a layer to the activation module whose output act(gate) multiplies the up projection; None where
            there is no gate, and ω itself is the activation.
        experts: path from a layer to the module that holds a mixture's experts in fused parameters, gate_up_proj
            (experts, 2 · d_ff, d) and down_proj (experts, d, d_ff); layers without it are dense and have a reader.
        transposed: the weights are stored as (inputs, outputs), as in GPT-2's Conv1D, not as a Linear's (outputs,
            inputs).
    """

    layers: str
    reader: str
    writers: tuple[str, ...]
    gate: str | None = None
    transposed: bool = False
    experts: str | None = None

    @property
    def neuron_axis(self) -> int:
        """The axis of the reader's weight along which the neurons run; in a writer's weight it is the other one."""
        return 0 if self.transposed else 1


_LLAMA = Family("model.layers", "mlp.down_proj", ("mlp.gate_proj", "mlp.up_proj"), gate="mlp.act_fn")
_MIXTURE = replace(_LLAMA, experts="mlp.experts")

FAMILIES = {
    "bloom": Family("transformer.h", "mlp.dense_4h_to_h", ("mlp.dense_h_to_4h",)),
    "falcon": Family("transformer.h", "mlp.dense_4h_to_h", ("mlp.dense_h_to_4h",)),
    "gemma2": _LLAMA,
    "gemma3_text": _LLAMA,
    "gpt2": Family("transformer.h", "mlp.c_proj", ("mlp.c_fc",), transposed=True),
    "gpt_neox": Family("gpt_neox.layers", "mlp.dense_4h_to_h", ("mlp.dense_h_to_4h",)),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "mixtral": _MIXTURE,
    "opt": Family("model.decoder.layers", "fc2", ("fc1",)),
    "phi3": Family("model.layers", "mlp.down_proj", ("mlp.gate_up_proj",), gate="mlp.activation_fn"),
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "qwen3_moe": _MIXTURE,
}

# Special tokens that a whole tokenizer may have behind the model's embedding, for no text holds them: Gemma 3's image,
# and what transformers adds to byte-level vocabularies that end a text otherwise (as a GGUF file's of Llama 3).
UNREAD_TOKENS = {"<image_soft_token>", "<|endoftext|>"}


def family(model_type: str) -> Family:
    """The entry of a family, by the `model_type` of its transformers config.

    Raises:
        UserError: the family has no entry; the message lists those that have.
    """
    if model_type not in FAMILIES:
        raise UserError(
            f"the model family {model_type!r} is not supported; supported are {', '.join(FAMILIES)} "
            "(docs/new-family.md tells how to add one)"
        )
    return FAMILIES[model_type]


def longest_text(config: Mapping[str, Any]) -> int | None:
    """The most tokens that a model reads, by its transformers config; None where it has no bound or does not say.

    Positions without a table (ALiBi: Bloom, some Falcons) have no bound; scaled rotary ones reach beyond the original.
    """
    if config.get("model_type") == "bloom" or config.get("alibi"):
        return None
    bound = config.get("max_position_embeddings", config.get("n_positions"))
    if not isinstance(bound, int):
        return None
    scaling = config.get("rope_parameters") or config.get("rope_scaling")
    factor = scaling.get("factor") if isinstance(scaling, dict) else None
    original = scaling.get("original_max_position_embeddings", bound) if isinstance(scaling, dict) else bound
    if not isinstance(factor, int | float) or not isinstance(original, int):
        return bound
    return max(bound, int(original * factor))
