"""The sizes of a model, from its transformers config alone: parameters, neurons, and what a token costs."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskneurons.checks.gguf import Header, gguf_family, read_header
from taskneurons.checks.model_files import NAMES, read_config
from taskneurons.config.settings import ModelSection
from taskneurons.core.errors import UserError
from taskneurons.neurons.families import family

# Families whose configs need not say that input and output share one embedding, and those that learn positions.
TIED = ("bloom", "falcon", "gemma2", "gemma3_text", "gpt2", "opt")
LEARNT_POSITIONS = ("gpt2", "opt")


@dataclass(frozen=True)
class Geometry:
    """A decoder's sizes.

    Attributes:
        layers: how many.
        width: of the residual stream, d.
        neurons: of a layer's FFN, d_ff, of all its experts together.
        active: of those, the neurons that one token passes through (fewer in a mixture of experts).
        matrices: of an FFN: two, or three where there is a gate.
        attention: parameters of a layer's attention.
        vocabulary: tokens.
        embeddings: matrices of vocabulary × d: one where input and output share it, else two.
        positions: parameters of learnt positions.
    """

    layers: int
    width: int
    neurons: int
    active: int
    matrices: int
    attention: int
    vocabulary: int
    embeddings: int
    positions: int

    @property
    def parameters(self) -> int:
        """All parameters; biases and norms, which are few, left out."""
        layer = self.attention + self.matrices * self.width * self.neurons
        return self.layers * layer + self.embeddings * self.vocabulary * self.width + self.positions

    @property
    def ffn_parameters(self) -> int:
        """The parameters that neurons own."""
        return self.layers * self.matrices * self.width * self.neurons

    @property
    def token_operations(self) -> int:
        """Multiplications and additions of one token's forward pass without the output over the vocabulary."""
        return 2 * self.layers * (self.attention + self.matrices * self.width * self.active)

    @property
    def output_operations(self) -> int:
        """Those of the output over the vocabulary, for one token."""
        return 2 * self.vocabulary * self.width


def geometry(config: Mapping[str, Any]) -> Geometry:
    """The sizes that a transformers config gives, under whichever names its family has.

    Args:
        config: as in a model's config.json, with its model_type.

    Raises:
        UserError: the family is not supported.
        KeyError: a size is missing.
    """
    kind = str(config["model_type"])
    parts, names = family(kind), NAMES[kind]
    width, layers = _first(config, *names.hidden), _first(config, *names.layers)
    heads = _first(config, "num_attention_heads", "n_head")
    each = config.get("head_dim") or width // heads
    of_experts = parts.experts is not None
    experts = _first(config, "num_local_experts", "num_experts") if of_experts else 1
    neurons = _neurons(config, width, names.neurons)
    tied = config.get("tie_word_embeddings", kind in TIED)
    return Geometry(
        layers=layers,
        width=width,
        neurons=neurons * experts,
        active=neurons * (config["num_experts_per_tok"] if of_experts else 1),
        matrices=3 if parts.gate else 2,
        attention=2 * width * each * (heads + _key_value_heads(config, heads)),
        vocabulary=config["vocab_size"],
        embeddings=1 if tied else 2,
        positions=width * _first(config, "n_positions", "max_position_embeddings") if kind in LEARNT_POSITIONS else 0,
    )


def gguf_geometry(header: Header, kind: str) -> Geometry:
    """The sizes that a GGUF file's header gives of a model of a family."""
    values, own = header.values, f"{header.values['general.architecture']}."
    width, heads = values[f"{own}embedding_length"], values[f"{own}attention.head_count"]
    said = {
        "model_type": kind,
        NAMES[kind].hidden[0]: width,
        NAMES[kind].layers[0]: values[f"{own}block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": values.get(f"{own}attention.head_count_kv", heads),
        "head_dim": values.get(f"{own}attention.key_length", width // heads),
        "intermediate_size": values.get(f"{own}expert_feed_forward_length", values.get(f"{own}feed_forward_length")),
        "num_experts": values.get(f"{own}expert_count"),
        "num_experts_per_tok": values.get(f"{own}expert_used_count"),
        "max_position_embeddings": values[f"{own}context_length"],
        "vocab_size": header.tensors["token_embd.weight"][0][-1],
        "tie_word_embeddings": "output.weight" not in header.tensors,
    }
    return geometry(said)


def model_geometry(model: ModelSection) -> Geometry | None:
    """The sizes of a run's model, as far as they are known before it is imported.

    None for a hub's model that `model.architecture` does not describe, and for a folder whose config.json leaves sizes
    to its family's defaults.

    Raises:
        UserError: as the checks of a model's folder and of a GGUF file; or model.architecture lacks a size.
    """
    source = model.source
    if source.pretrain is not None:
        own = source.pretrain.architecture.model_dump()
        return geometry({**own, "model_type": "llama", "vocab_size": source.pretrain.vocabulary})
    if source.gguf:
        return gguf_geometry(read_header(Path(source.gguf)), gguf_family(Path(source.gguf)))
    if model.architecture is not None:
        try:
            return geometry(model.architecture)
        except KeyError as problem:
            raise UserError(
                f"config: model: architecture: {problem.args[0]} is missing: take the config.json"
            ) from None
    with suppress(KeyError):
        return geometry(read_config(Path(source.path))) if source.path else None
    return None


def _first(config: Mapping[str, Any], *names: str) -> int:
    """The value under the first of the names that the config has."""
    for name in names:
        if config.get(name) is not None:
            return int(config[name])
    raise KeyError(" or ".join(names))


def _key_value_heads(config: Mapping[str, Any], heads: int) -> int:
    if config["model_type"] == "falcon" and not config.get("new_decoder_architecture"):
        return 1 if config.get("multi_query", True) else heads
    return int(config.get("num_key_value_heads") or config.get("num_kv_heads") or heads)


def _neurons(config: Mapping[str, Any], width: int, names: tuple[str, ...]) -> int:
    """d_ff of one expert, or of the dense FFN; where a config does not say it, it is four times d."""
    for name in ("moe_intermediate_size", *names):
        if config.get(name) is not None:
            return int(config[name])
    return 4 * width
