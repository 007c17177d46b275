"""What a GGUF file says of its model, from its header alone (the gguf package would take seconds)."""

import math
import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskneurons.core.errors import UserError
from taskneurons.neurons.families import family

# Where GGUF's name of an architecture is not transformers' one.
FAMILIES = {"gemma3": "gemma3_text", "gptneox": "gpt_neox", "qwen3moe": "qwen3_moe"}

VERSIONS = (2, 3)

# struct's letter for a value by its type's number; strings and arrays have lengths of their own.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9

# Values in a block, and its bytes, by the number of a tensor's type; the size of other types is not checked.
BLOCKS = {
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82)},
    **{23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)},
}

# Keys that transformers reads, and fills in by itself where they are absent; `|` parts two of which one is needed.
NEEDED = (
    *("{0}.context_length", "{0}.block_count", "{0}.embedding_length", "{0}.attention.head_count"),
    "{0}.attention.layer_norm_rms_epsilon|{0}.attention.layer_norm_epsilon",
    *("tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.eos_token_id"),
)


# What transformers leaves out without a word when it reads a GGUF file, so that another model would come of it.
SCALED_POSITIONS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


@dataclass
class Header:
    """A GGUF file's header.

    Attributes:
        values: key → number or text; of a list, its length.
        tensors: name → dimensions (the fastest first), number of its type, and place behind the header.
        end: where the header ends, in bytes.
    """

    values: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, tuple[list[int], int, int]] = field(default_factory=dict)
    end: int = 0


def check_gguf(path: Path) -> tuple[str, int | None]:
    """The family of a GGUF file's model and the most tokens that it reads (None: without bound), if the file is whole.

    Raises:
        UserError: the file is absent, no GGUF file, cut off, or lacks keys, FFN weights or a tokenizer.
    """
    header = read_header(path)
    name = gguf_family(path, header)
    kind = family(name)
    architecture = header.values["general.architecture"]
    for needed in NEEDED:
        keys = needed.format(architecture).split("|")
        if not any(key in header.values for key in keys):
            raise UserError(f"the GGUF file {path} lacks the key {' or '.join(keys)}: fetch or convert it anew")
    if architecture == "llama" and "llama.attention.head_count_kv" not in header.values:
        raise UserError(  # transformers would leave the rows of the query and key matrices in GGUF's order
            f"the GGUF file {path} lacks the key llama.attention.head_count_kv: fetch or convert it anew"
        )
    scaling = header.values.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none" or set(SCALED_POSITIONS) & set(header.tensors):
        raise UserError(
            f"the GGUF file {path} scales its rotary positions, which transformers does not read from GGUF: take the "
            "model "
            "as a folder or from the hub"
        )
    _check_data(path, header)
    of_layer = ["ffn_down", "ffn_up", *(["ffn_gate"] if len(kind.writers) == 2 else [])]
    layers = header.values[f"{architecture}.block_count"]
    present = {tuple(tensor.split(".")[1:3]) for tensor in header.tensors if tensor.startswith("blk.")}
    if layers != len({number for number, _ in present}):
        raise UserError(
            f"the GGUF file {path} says {layers} layers ({architecture}.block_count), its weights have "
            f"{len({number for number, _ in present})}: fetch or convert it anew"
        )
    for layer in range(layers):
        for matrix in of_layer:  # a mixture's are ffn_down_exps, or ffn_down.<expert> in old files
            if not {(str(layer), matrix), (str(layer), f"{matrix}_exps")} & present:
                raise UserError(
                    f"the GGUF file {path} lacks the weights blk.{layer}.{matrix}: fetch or convert it anew"
                )
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None:
        raise UserError(f"the GGUF file {path} lacks the embedding, token_embd.weight: fetch or convert it anew")
    tokens, rows = header.values["tokenizer.ggml.tokens"], embedding[0][-1]
    if tokens > rows:
        raise UserError(
            f"the GGUF file {path}: the tokenizer is larger than the embedding: {tokens} tokens, {rows} rows"
        )
    context = header.values[f"{architecture}.context_length"]
    return name, None if name == "bloom" else context


def gguf_family(path: Path, header: Header | None = None) -> str:
    """The family of the architecture that a GGUF file names.

    Raises:
        UserError: the file is absent, no GGUF file, or names no architecture.
    """
    name = (header or read_header(path)).values.get("general.architecture")
    if not isinstance(name, str):
        raise UserError(f"the GGUF file {path} does not say its architecture (general.architecture)")
    return FAMILIES.get(name, name)


def read_header(path: Path) -> Header:
    """The header of a GGUF file.

    Raises:
        UserError: the file is absent, no GGUF file, of another version, or ends within its header.
    """
    if not path.is_file():
        raise UserError(f"the GGUF file {path} does not exist (for the SmolLM2 preset, `make weights` fetches it)")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise UserError(f"{path} is not a GGUF file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _Reader(content).header(path)
            except (struct.error, OverflowError) as problem:
                message = f"the GGUF file {path} is damaged or ends within its header: fetch it anew"
                raise UserError(message) from problem


def _check_data(path: Path, header: Header) -> None:
    alignment = header.values.get("general.alignment", 32)
    if type(alignment) is not int or alignment < 1:
        raise UserError(f"the GGUF file {path}: general.alignment is {alignment!r}: fetch or convert it anew")
    start = math.ceil(header.end / alignment) * alignment
    size = path.stat().st_size
    for name, (dimensions, kind, offset) in header.tensors.items():
        values, per_block = BLOCKS.get(kind, (1, 0))
        if start + offset + math.prod(dimensions) // values * per_block > size:
            raise UserError(f"the GGUF file {path} is cut off: it ends before the weights {name} do: fetch it anew")


class _Reader:
    """Goes through a header; raises struct.error behind the file's end."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content
        self.place = len(b"GGUF")

    def header(self, path: Path) -> Header:
        version = self.number("I")
        if version not in VERSIONS:
            raise UserError(
                f"the GGUF file {path} has version {version}, and only {' and '.join(map(str, VERSIONS))} are read "
                "(little-endian): convert it anew"
            )
        header = Header()
        tensors, entries = self.number("Q"), self.number("Q")
        for _ in range(entries):
            key = self.text()
            header.values[key] = self.value(self.number("I"))
        for _ in range(tensors):
            name = self.text()
            dimensions = [self.number("Q") for _ in range(self.number("I"))]
            header.tensors[name] = (dimensions, self.number("I"), self.number("Q"))
        header.end = self.place
        return header

    def number(self, letter: str) -> Any:
        found = struct.unpack_from(f"<{letter}", self.content, self.place)[0]
        self.place += struct.calcsize(f"<{letter}")
        return found

    def text(self) -> str:
        end = self.number("Q") + self.place
        if end > len(self.content):
            raise struct.error("a text ends behind the file")
        text = self.content[self.place : end].decode(errors="replace")
        self.place = end
        return text

    def value(self, kind: int) -> Any:
        """A number or a text; of a list, its length: a vocabulary's words are not of interest."""
        if kind == STRING:
            return self.text()
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind != ARRAY:
            raise struct.error(f"no value has the type {kind}")
        of, length = self.number("I"), self.number("Q")
        if of in NUMBERS:
            self.place += length * struct.calcsize(f"<{NUMBERS[of]}")
        elif of == STRING:
            for _ in range(length):
                self.place += struct.unpack_from("<Q", self.content, self.place)[0] + 8
        else:
            for _ in range(length):
                self.value(of)
        return length
