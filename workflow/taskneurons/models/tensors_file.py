"""Tensors with what is said of them, as one safetensors file whose content is checked when it is read."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from taskneurons.core.artifacts import damaged, replacing
from taskneurons.core.chain import METADATA_KEY, note_of_output, text_content
from taskneurons.core.content import checked_before, remember_checked, short_hash
from taskneurons.core.errors import DamagedError, UserError

Tensors = dict[str, torch.Tensor]


def tensors_hash(tensors: Tensors) -> str:
    """A content hash of tensors: their names, shapes, types and bytes."""
    digest = short_hash()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _content(tensors: Tensors, note: dict[str, Any]) -> str:
    return text_content(tensors_hash(tensors), note)


def write_tensors(path: str | Path, tensors: Tensors, kind: str, provenance: dict[str, Any]) -> None:
    """Write tensors with their provenance, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    note = {**provenance, "kind": kind, **note_of_output(path)}
    note["content"] = _content(plain, note)
    with replacing(path) as partial:
        save_file(plain, partial, {METADATA_KEY.decode(): json.dumps(note, sort_keys=True)})


def read_tensors(path: str | Path, kind: str) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and the provenance of a file of the given kind.

    Raises:
        UserError: the file is missing, is no such file, or its content is not what was written.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: run the step that makes it first")
    try:
        with safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {}).get(METADATA_KEY.decode(), "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError, ValueError) as problem:
        raise DamagedError(path, f"{path} is not a safetensors file, or a damaged one ({problem})") from problem
    if note.get("kind") != kind:
        held = note.get("kind") or "no artifact of this workflow"
        raise UserError(f"{path} holds {held!r}, where {kind!r} is needed")
    if not checked_before(path, note["content"]) and _content(tensors, note) != note["content"]:
        raise damaged(path)
    remember_checked(path, note["content"])
    return tensors, note
