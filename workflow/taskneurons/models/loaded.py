"""Model artifacts: a folder of safetensors with config, tokenizer and `identity.json`, and how to load it."""

import json
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER
from transformers.utils.logging import disable_progress_bar

from taskneurons.config.settings import DeviceSettings
from taskneurons.core.artifacts import damaged, replacing, write_json
from taskneurons.core.chain import HINT, MODEL_FILE, note_of_output
from taskneurons.core.content import LARGE, bytes_hash, content_hash, remembered_hash
from taskneurons.core.errors import DamagedError, UserError
from taskneurons.data.task import Task
from taskneurons.models.tensors_file import tensors_hash
from taskneurons.neurons.blocks import know_identities
from taskneurons.neurons.families import family, longest_text

if not sys.stderr.isatty():
    disable_progress_bar()  # transformers' own bars for loading and saving fill a log with control characters


@dataclass(frozen=True)
class Compute:
    """Where and how precisely a model computes: autocast where the compute dtype is narrower than float32.

    Attributes:
        device: the device of the inputs, and of the whole model unless it is spread.
        dtype: of the computation.
        weights: dtype in which the weights are held.
        spread: the layers are distributed over all CUDA devices.
    """

    device: torch.device
    dtype: torch.dtype
    weights: torch.dtype = torch.float32
    spread: bool = False

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which to run the model."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def start_compute(settings: DeviceSettings) -> Compute:
    """Set the number of threads and choose device and dtype.

    Args:
        settings: a dtype of "auto" is bfloat16 where the device has matrix units for it, float32 elsewhere.

    Raises:
        UserError: the device is not there.
    """
    torch.set_num_threads(settings.threads)
    name, spread = settings.device, settings.device == "spread"
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device("cuda:0" if spread else name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"compute.device is {settings.device}, but PyTorch sees {torch.cuda.device_count()} CUDA devices here"
        )
    if settings.dtype == "auto":
        dtype = torch.bfloat16 if native_bfloat16(device) else torch.float32
    else:
        dtype = getattr(torch, settings.dtype)
    return Compute(device, dtype, dtype if settings.weights == "compute" else torch.float32, spread)


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device has matrix units for bfloat16: Tensor Cores, or AMX on a CPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # On a CPU that has AVX-512's bfloat16 instructions but no AMX units, bfloat16 was measured slower than float32
    # (a training step of SmolLM2-135M: 6.8 s against 4.5 s on two cores).
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer, its provenance and its compute settings."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    provenance: dict[str, Any]
    compute: Compute

    @property
    def identity(self) -> str:
        """The content hash of its weights, by which masks, deltas and scores know it."""
        return self.provenance["identity"]

    @property
    def parent(self) -> str | None:
        """The identity of the model that it was trained from, if it was."""
        return self.provenance.get("parent")

    def provenance_on(self, task: Task) -> dict[str, Any]:
        """What an artifact made of this model and a split of a task says of both."""
        return {
            "task": task.key,
            "split": task.split,
            "data_hash": task.data_hash,
            "model": self.identity,
            "state": self.provenance.get("state"),
            "seed": self.provenance.get("seed"),
            "dtype": self.compute.dtype_name,
        }


def weights_hash(model: nn.Module) -> str:
    """A content hash of a model's parameters and buffers: their names, shapes and bytes."""
    return tensors_hash(model.state_dict())


def save_model(
    path: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    provenance: dict[str, Any],
) -> None:
    """Write a model artifact, atomically.

    Args:
        provenance: says what made it. It joins `identity.json`, with the hashes of all other files. The identity is
            the weights' hash, unless it is given, as that of a model with a delta.
    """
    with replacing(path) as partial:
        model.save_pretrained(partial, safe_serialization=True)
        tokenizer.save_pretrained(partial)
        for file in partial.iterdir():
            file.chmod(0o644)
        note = {
            **{"kind": "model", "identity": weights_hash(model), "model_type": model.config.model_type},
            **provenance,
            **note_of_output(path),
            "files": {file.name: [file.stat().st_size, bytes_hash(file)] for file in sorted(partial.iterdir())},
        }
        write_json(partial / MODEL_FILE, {**note, "content": content_hash(note)})


def read_model_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance of a model artifact, with its identity.

    Raises:
        UserError: the folder is no model artifact of this workflow, or what it says of itself was changed.
    """
    file = Path(path) / MODEL_FILE
    if not file.is_file():
        raise UserError(f"{path} is not a model artifact: it holds no {MODEL_FILE}")
    try:
        note = json.loads(file.read_text())
        content = note.pop("content")
    except (ValueError, AttributeError, KeyError):
        raise damaged(file, path) from None
    if content != content_hash(note):
        raise damaged(file, path)
    return note


def check_files(path: str | Path, provenance: dict[str, Any]) -> None:
    """Raise a UserError unless all files of a model artifact are as they were written; large ones once a machine."""
    for name, (_, known) in provenance["files"].items():
        file = Path(path) / name
        if not file.is_file():
            raise DamagedError(Path(path), f"{path} lacks {name}, which was written with it: {HINT.format(path)}")
        if (remembered_hash(file) if file.stat().st_size >= LARGE else bytes_hash(file)) != known:
            raise damaged(file, path)


def load_model(path: str | Path, settings: DeviceSettings) -> LoadedModel:
    """Load a model artifact for the step at hand."""
    provenance = read_model_provenance(path)
    check_files(path, provenance)
    compute = start_compute(settings)
    family(provenance["model_type"])
    where = {"device_map": "balanced"} if compute.spread else {}
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    model = AutoModelForCausalLM.from_pretrained(path, dtype=compute.weights, use_safetensors=True, **local, **where)
    if any(parameter.is_meta for parameter in model.parameters()):  # where changes would be lost without a word
        raise UserError(
            f"the devices together are too small for {path}: accelerate would keep some of its layers elsewhere, where "
            "their neurons cannot be changed; take more or larger devices, or set compute.frozen_weights: compute"
        )
    hook: Any = getattr(model, "_hf_hook", None)
    if hook is not None:  # the layers are on several devices
        # accelerate moves every input to the first device; as an index of the last layer's states it must stay free.
        hook.skip_keys = [*(model._skip_keys_device_placement or []), "logits_to_keep"]
    else:
        nn.Module.to(model, compute.device)
    # What encodes examples holds the token budgets against it; a tokenizer's own value may be anything.
    longest = longest_text(model.config.to_dict()) or VERY_LARGE_INTEGER
    tokenizer = AutoTokenizer.from_pretrained(path, model_max_length=longest, **local)
    if tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer in {path} has no end-of-text token, which ends every target: set one")
    know_identities(model, provenance["identity"], provenance.get("parent"))
    return LoadedModel(model.eval(), tokenizer, provenance, compute)
