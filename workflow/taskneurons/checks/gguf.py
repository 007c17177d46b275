"""The architecture that a GGUF file names, from its header alone (the gguf package would take seconds)."""

import struct
from pathlib import Path
from typing import BinaryIO

from taskneurons.core.errors import UserError

# Where GGUF's name of an architecture is not transformers' one.
FAMILIES = {"gemma3": "gemma3_text", "gptneox": "gpt_neox", "qwen3moe": "qwen3_moe"}

# Bytes of a value by its type's number; strings and arrays have lengths of their own.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


def gguf_family(path: Path) -> str:
    """The family of the architecture that a GGUF file names.

    Raises:
        UserError: the file is absent, no GGUF file, or names no architecture.
    """
    if not path.is_file():
        raise UserError(f"the GGUF file {path} does not exist (for the SmolLM2 preset, `make weights` fetches it)")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise UserError(f"{path} is not a GGUF file")
        try:
            file.read(4 + 8)  # version, number of tensors
            for _ in range(_number(file, "<Q", 8)):
                key, kind = _string(file), _number(file, "<I", 4)
                if key == "general.architecture":
                    name = _string(file)
                    return FAMILIES.get(name, name)
                _skip(file, kind)
        except struct.error as problem:
            raise UserError(f"the GGUF file {path} ends within its header: fetch it anew") from problem
    raise UserError(f"the GGUF file {path} does not say its architecture (general.architecture)")


def _number(file: BinaryIO, form: str, size: int) -> int:
    return struct.unpack(form, file.read(size))[0]


def _string(file: BinaryIO) -> str:
    return file.read(min(_number(file, "<Q", 8), 1_000_000)).decode(errors="replace")


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == STRING:
        file.seek(_number(file, "<Q", 8), 1)
    elif kind == ARRAY:
        of, number = _number(file, "<I", 4), _number(file, "<Q", 8)
        if of in SIZES:
            file.seek(number * SIZES[of], 1)
        else:
            for _ in range(number):
                _skip(file, of)
    elif kind in SIZES:
        file.seek(SIZES[kind], 1)
    else:
        raise struct.error(f"no value has the type {kind}")
