"""Import the base model from the hub, a local folder or a GGUF file, as the base-model artifact."""

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from taskneurons.config.settings import ModelSource, StepSettings
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import save_model
from taskneurons.neurons.families import family

log = logging.getLogger(__name__)


def from_gguf(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A GGUF file's model, dequantised to float32, and its tokenizer.

    transformers refuses to save a model that it read from GGUF, so the weights move to a new model of the same
    config without the quantisation entry.
    """
    if not file.is_file():
        raise UserError(f"the GGUF file {file} does not exist")
    where: dict[str, Any] = {
        "pretrained_model_name_or_path": str(file.parent),
        "gguf_file": file.name,
        "local_files_only": True,
    }
    read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)
    settings.pop("_name_or_path", None)
    config = type(read.config).from_dict(settings)
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model, AutoTokenizer.from_pretrained(**where)


def from_folder_or_hub(
    name: str, revision: str | None, trust_remote_code: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model from a local folder (revision None) or the hub, in the dtype in which it is stored."""
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if revision is None:
        if not Path(name).is_dir():
            raise UserError(f"the model folder {name} does not exist")
        options["local_files_only"] = True
    else:
        options["revision"] = revision
    try:
        family(AutoConfig.from_pretrained(name, **options).model_type)
        model = AutoModelForCausalLM.from_pretrained(name, dtype="auto", use_safetensors=True, **options)
        return model, AutoTokenizer.from_pretrained(name, **options)
    except (OSError, ValueError) as problem:
        raise UserError(
            f"the model {name}{f' at {revision}' if revision else ''} cannot be read: {problem}; check the name, the "
            "network and the login that it may need (only safetensors weights are read), or give a local folder"
        ) from problem


class ImportSettings(StepSettings):
    """What an import depends on."""

    source: ModelSource


def main(settings: ImportSettings, *, files: list[Path], model: Path) -> None:
    """Write the base model.

    Args:
        files: the local files that it is made of; none for the hub. They are found by the source's own path.
        model: the folder to write.
    """
    source = settings.source
    if source.gguf is not None:
        imported, tokenizer = from_gguf(Path(source.gguf))
        origin = f"GGUF file {Path(source.gguf).name}, dequantised"
    elif source.path is not None:
        imported, tokenizer = from_folder_or_hub(source.path, None, False)
        origin = f"folder {Path(source.path).name}"
    else:
        assert source.hub is not None
        imported, tokenizer = from_folder_or_hub(source.hub, source.revision, source.trust_remote_code)
        origin = f"{source.hub} at {source.revision}"
    family(imported.config.model_type)
    log.info("imported %s: %.1f M parameters", origin, imported.num_parameters() / 1e6)
    save_model(model, imported, tokenizer, {"state": "base", "origin": origin, "spec": settings.spec()})
