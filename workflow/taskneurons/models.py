"""Model artifacts: a folder of safetensors with config, tokenizer and `identity.json`, and how to load it."""

import hashlib
import json
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from taskneurons.artifacts import content_hash, replacing, write_json
from taskneurons.errors import UserError
from taskneurons.families import feed_forward

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


def start_compute(settings: dict[str, Any]) -> Compute:
    """Set the number of threads and choose device and dtype.

    Args:
        settings: `threads`, `device` ("auto", "cpu", "cuda", …, or "spread": all CUDA devices together) and `dtype`
            ("auto", "float32", "bfloat16", "float16"); auto is bfloat16 where the device has matrix units for it,
            float32 elsewhere. `weights` is "float32" or "compute", the dtype of the computation.

    Raises:
        UserError: the device is not there.
    """
    torch.set_num_threads(settings["threads"])
    name, spread = settings["device"], settings["device"] == "spread"
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device("cuda:0" if spread else name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"compute.device is {settings['device']}, but PyTorch sees {torch.cuda.device_count()} CUDA devices here"
        )
    if settings["dtype"] == "auto":
        dtype = torch.bfloat16 if native_bfloat16(device) else torch.float32
    else:
        dtype = getattr(torch, settings["dtype"])
    return Compute(device, dtype, dtype if settings["weights"] == "compute" else torch.float32, spread)


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device has matrix units for bfloat16: Tensor Cores, or AMX on a CPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # On a CPU that has AVX-512's bfloat16 instructions but no AMX units, bfloat16 was measured slower than float32
    # (a training step of SmolLM2-135M: 6.8 s against 4.5 s on two cores).
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer, its identity record and its compute settings."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: dict[str, Any]
    compute: Compute


def weights_hash(model: nn.Module) -> str:
    """A content hash of a model's parameters and buffers: their names, shapes and bytes."""
    digest = hashlib.blake2b(digest_size=12)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def save_model(
    path: str | Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    record: dict[str, Any],
) -> None:
    """Write a model artifact, atomically. `record` says what made it and joins `identity.json`."""
    with replacing(path) as partial:
        model.save_pretrained(partial, safe_serialization=True)
        tokenizer.save_pretrained(partial)
        for file in partial.iterdir():
            file.chmod(0o644)
        identity = {
            "identity": weights_hash(model),
            "model_type": model.config.model_type,
            "tokenizer": content_hash(sorted(tokenizer.get_vocab().items())),
            **record,
        }
        write_json(partial / "identity.json", identity)


def read_identity(path: str | Path) -> dict[str, Any]:
    """The identity record of a model artifact.

    Raises:
        UserError: the folder is no model artifact of this workflow.
    """
    file = Path(path) / "identity.json"
    if not file.is_file():
        raise UserError(f"{path} is not a model artifact: it holds no identity.json")
    return json.loads(file.read_text())


def check_made_on(path: str | Path, made: dict[str, Any], identity: dict[str, Any]) -> None:
    """Raise a UserError unless a file, by its metadata, was made on this model or on the one it was trained from."""
    if made["model"] not in (identity["identity"], identity.get("parent")):
        raise UserError(
            f"{path} was made on model {made['model']}, but this model is {identity['identity']} "
            f"(trained from {identity.get('parent')}): score and select on the same model"
        )


def load_model(path: str | Path, settings: dict[str, Any]) -> LoadedModel:
    """Load a model artifact for the step at hand; `settings` as for `start_compute`."""
    identity = read_identity(path)
    compute = start_compute(settings)
    feed_forward(identity["model_type"])
    where = {"device_map": "balanced"} if compute.spread else {}
    model = AutoModelForCausalLM.from_pretrained(path, dtype=compute.weights, local_files_only=True, **where)
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
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer in {path} has no end-of-text token, which ends every target: set one")
    return LoadedModel(model.eval(), tokenizer, identity, compute)
