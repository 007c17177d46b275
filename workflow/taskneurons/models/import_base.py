"""Import the base model from the hub, a local folder or a GGUF file, as the base-model artifact.

What is imported is what the source holds: every weight, none of them random, not a number or infinite, and the whole
tokenizer. Otherwise nothing is written.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from taskneurons.config.settings import ModelSource, StepSettings
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import save_model
from taskneurons.neurons.families import UNREAD_TOKENS, family

SAMPLE = "The cat sat on the mat and slept all day"

log = logging.getLogger(__name__)


@contextmanager
def _reading(what: str, advice: str) -> Iterator[None]:
    """Turn whatever a library raises in the block into a UserError; each of those underneath has errors of its own."""
    try:
        yield
    except UserError:
        raise
    except Exception as problem:
        raise UserError(f"{what} cannot be read: {problem or type(problem).__name__}; {advice}") from problem


def _model_and_report(name: str, **options: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A model, and transformers' report of the weights that it found and those that it did not."""
    return cast(Any, AutoModelForCausalLM).from_pretrained(name, output_loading_info=True, **options)


def from_gguf(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A GGUF file's model, dequantised to float32, and its tokenizer.

    transformers refuses to save a model that it read from GGUF, so the weights move to a new model of the same
    config without the quantisation entry.
    """
    if not file.is_file():
        raise UserError(f"the GGUF file {file} does not exist")
    where: dict[str, Any] = {
        "gguf_file": file.name,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    what = f"the GGUF file {file}"
    with _reading(what, "fetch or convert it anew"):
        read, report = _model_and_report(str(file.parent), **where, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **where)
    check_weights(what, read, report)
    check_tokenizer(what, read, tokenizer)
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)
    settings.pop("_name_or_path", None)
    config = type(read.config).from_dict(settings)
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    return model, tokenizer


def from_folder_or_hub(
    name: str, revision: str | None, trust_remote_code: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model from a local folder (revision None) or the hub, in the dtype in which it is stored.

    Raises:
        UserError: it cannot be read, or is not whole (`check_weights`, `check_tokenizer`).
    """
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if revision is None:
        if not Path(name).is_dir():
            raise UserError(f"the model folder {name} does not exist")
        options["local_files_only"] = True
    else:
        if Path(name).exists():  # transformers would read that one and never ask the hub
            raise UserError(f"{name} is a local folder or file here, not the hub's model: give it as model.source.path")
        options["revision"] = revision
    what = f"the model {name}{f' at {revision}' if revision else ''}"
    advice = (
        "check the name, the network and the login that it may need (only safetensors weights are read), or give a "
        "local "
        "folder"
        if revision
        else "fetch or save the folder anew (only safetensors weights are read)"
    )
    with _reading(what, advice):
        config = AutoConfig.from_pretrained(name, **options)
        family(config.model_type)
        if getattr(config, "quantization_config", None) is not None:
            raise UserError(f"{what} has quantised weights, which cannot be trained or scored: take the original ones")
        config.dtype = (
            None  # else "auto" means what config.json says, and weights that are stored otherwise are rounded
        )
        model, report = _model_and_report(
            name,
            config=config,
            dtype="auto",
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are told below, by name
            **options,
        )
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    check_weights(what, model, report)
    check_tokenizer(what, model, tokenizer)
    if revision is None and (Path(name) / "tokenizer.json").is_file():
        _check_same_tokens(Path(name) / "tokenizer.json", tokenizer)
    return model, tokenizer


def check_weights(what: str, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Raise a UserError unless every weight of a model was read from its files, and is a finite number.

    Args:
        report: transformers' loading info.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        raise UserError(f"{what} is an adapter of another model: merge the two and save them as one model")
    wrong = {
        "lacks the weights {}, and random values would take their place": report["missing_keys"],
        "holds weights for which its config has no place: {}": report["unexpected_keys"],
        "has weights of another shape than its config says: {}": [
            f"{name} {tuple(stored)} instead of {tuple(asked)}" for name, stored, asked in report["mismatched_keys"]
        ],
        "has weights that are not finite (NaN or infinite): {}": [
            name for name, weights in model.state_dict().items() if not torch.isfinite(weights).all()
        ],
    }
    for sentence, names in wrong.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            shown = sentence.format(", ".join(sorted(names)[:3]) + more)
            raise UserError(f"{what} {shown}; fetch, convert or save it anew")


def check_tokenizer(what: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise a UserError unless a tokenizer has words, an end-of-text token, and no more than the model's embedding."""
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # what transformers makes of no files
        raise UserError(
            f"the tokenizer of {what} has no words ({len(tokenizer)} special tokens): its files are missing or "
            "damaged; "
            "copy tokenizer.json, or tokenizer.model, or vocab.json and merges.txt to the model's other files"
        )
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"the tokenizer of {what} has no end-of-text token, which ends every target: set eos_token in its "
            "tokenizer_config.json"
        )
    rows = cast(torch.Tensor, model.get_input_embeddings().weight).shape[0]
    used = {tokenizer.eos_token, tokenizer.bos_token}
    words = {token: id for token, id in tokenizer.get_vocab().items() if token in used or token not in UNREAD_TOKENS}
    last = max(words, key=lambda token: words[token])
    if words[last] >= rows:
        raise UserError(
            f"the tokenizer of {what} is larger than the embedding: {last!r} has the id {words[last]}, and there are "
            f"{rows} "
            "rows; the two belong to different models, or the embedding was not resized"
        )


def _check_same_tokens(file: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise a UserError where transformers cuts words otherwise than the tokenizer.json that lies beside the weights.

    It makes some tokenizers anew by the class that tokenizer_config.json names, which may be another one's. The
    sample's first word is not looked at: a space before it is a matter of the config.
    """
    ours = tokenizer(SAMPLE, add_special_tokens=False)["input_ids"]
    stored = Tokenizer.from_file(str(file)).encode(SAMPLE, add_special_tokens=False).ids
    if ours[-6:] != stored[-6:]:
        raise UserError(
            f"transformers reads the tokenizer beside {file} as {type(tokenizer).__name__}, which cuts words "
            "otherwise than "
            "that file says: name the right tokenizer_class in tokenizer_config.json (PreTrainedTokenizerFast takes "
            "tokenizer.json as it is)"
        )


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
    # Settings of the source's (a penalty of repetitions, a least length) would go into every greedy continuation.
    imported.generation_config = GenerationConfig()
    log.info("imported %s: %.1f M parameters", origin, imported.num_parameters() / 1e6)
    save_model(model, imported, tokenizer, {"state": "base", "origin": origin, "spec": settings.spec()})
