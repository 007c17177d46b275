"""A local model folder, looked at before any work: its config.json, the headers of its weights, its tokenizer's files.

What these surely tell is checked here, in milliseconds; the import (`models/import_base.py`) compares every weight
with what transformers asks for.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from taskneurons.core.errors import UserError
from taskneurons.neurons.families import UNREAD_TOKENS, Family, family

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"

# What a tokenizer can be made of where there is no tokenizer.json.
TOKENIZERS = ("tokenizer.model", "vocab.json", "spiece.model", "tekken.json", "vocab.txt")
NO_END = ("PreTrainedTokenizerFast", "TokenizersBackend")  # tokenizer classes without an end-of-text token of their own

# Weights, config and tokenizer; what else is in a folder (README, pickled weights) is not read.
READ = (".safetensors", ".json", ".model", ".txt", ".jinja")

Shapes = dict[str, list[int]]


@dataclass(frozen=True)
class Names:
    """What a family calls its sizes and its embedding.

    Attributes:
        layers, hidden, neurons: keys of config.json: the number of layers, the width of the residual stream, the
            neurons of a layer (4 · hidden where that key is empty or absent and `quadruple` is set). The first that is
            there counts.
        embedding: path of the token embedding below the base model.
    """

    layers: tuple[str, ...] = ("num_hidden_layers",)
    hidden: tuple[str, ...] = ("hidden_size",)
    neurons: tuple[str, ...] = ("intermediate_size",)
    quadruple: bool = False
    embedding: str = "embed_tokens"


_LLAMA = Names()
_LAYERS = ("n_layer", "num_hidden_layers")
_FALCON = Names(neurons=("ffn_hidden_size",), quadruple=True, embedding="word_embeddings")

NAMES = {
    **dict.fromkeys(("gemma2", "gemma3_text", "llama", "mistral", "mixtral", "phi3", "qwen2", "qwen3"), _LLAMA),
    "bloom": replace(_FALCON, layers=_LAYERS, hidden=("hidden_size", "n_embed"), neurons=()),
    "falcon": _FALCON,
    "gpt2": Names(_LAYERS, ("n_embd", "hidden_size"), ("n_inner",), quadruple=True, embedding="wte"),
    "gpt_neox": Names(embedding="embed_in"),
    "opt": Names(neurons=("ffn_dim",), embedding="decoder.embed_tokens"),
    "qwen3_moe": _LLAMA,
}


def files_of_a_model(folder: Path) -> list[Path]:
    """The files of a model's folder that an import reads."""
    return sorted(file for file in folder.iterdir() if file.suffix in READ)


def check_folder(folder: Path) -> dict[str, Any]:
    """The config of a model folder whose files are all there and fit together, as far as they can tell without it.

    Raises:
        UserError: what is missing, damaged or contradictory.
    """
    config = read_config(folder)
    where = family(config["model_type"])
    shapes = weight_shapes(folder)
    embedding = _check_sizes(folder, config, where, shapes)
    _check_tokenizer(folder, config.get("vocab_size") if embedding is None else embedding)
    return config


def read_config(folder: Path) -> dict[str, Any]:
    """A folder's config.json.

    Raises:
        UserError: it is absent, no JSON object, names no family, or says that the weights are quantised or others.
    """
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder} holds no config.json "
            "(a relative path is looked up in the folder of --config data_root=FOLDER, without it from here)"
        )
    config = _json_object(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise UserError(f"{folder}/config.json names no model_type, by which the model's family is known")
    family(config["model_type"])
    if config.get("quantization_config") is not None:
        raise UserError(
            f"{folder} holds quantised weights (quantization_config in config.json), which cannot be trained or "
            "scored: "
            "take the original weights, or a GGUF copy, which is dequantised"
        )
    if config.get("transformers_weights") is not None or (folder / "adapter_config.json").exists():
        odd = "transformers_weights in config.json" if config.get("transformers_weights") else "adapter_config.json"
        raise UserError(
            f"{folder} is made of other weights than {SINGLE} ({odd}): merge them into one model and save that anew"
        )
    return config


def weight_shapes(folder: Path) -> Shapes:
    """The shape of every tensor of a folder's safetensors, by name, from the files' headers.

    Raises:
        UserError: there are none, a file is damaged or absent, or a tensor is in two files.
    """
    if (folder / SINGLE).is_file():
        files = {SINGLE: None}
        others = set(_weight_map(folder).values()) - {SINGLE} if (folder / INDEX).is_file() else set()
        if others:
            raise UserError(
                f"{folder} holds {SINGLE} and {INDEX}, which names other files ({', '.join(sorted(others)[:3])}): "
                "which are "
                "the weights? Take the wrong ones away"
            )
    elif (folder / INDEX).is_file():
        files = dict.fromkeys(_weight_map(folder).values())
    else:
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth"))
        found = f"only pickled ones ({', '.join(pickled[:3])}), which are not read" if pickled else "none"
        raise UserError(
            f"{folder} holds no weights as safetensors ({SINGLE}, or {INDEX} and its files): {found}; save the model "
            "with "
            "save_pretrained of a recent transformers"
        )
    shapes: Shapes = {}
    of_file: dict[str, str] = {}
    for name in files:
        for tensor, shape in _shapes_of(folder / name).items():
            if tensor in shapes:
                raise UserError(f"{folder}: {tensor} is in both {of_file[tensor]} and {name}: which one counts?")
            shapes[tensor], of_file[tensor] = shape, name
    if SINGLE not in files:
        lost = [tensor for tensor, name in _weight_map(folder).items() if of_file.get(tensor) != name]
        if lost:
            raise UserError(
                f"{folder}: {INDEX} names files that lack what they should hold: {listed(lost)}; fetch or save the "
                "folder "
                "anew"
            )
    return shapes


def _weight_map(folder: Path) -> dict[str, str]:
    """The index of a sharded model: tensor → file."""
    found = _json_object(folder / INDEX).get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
        raise UserError(f"{folder / INDEX} has no weight_map of tensors and their files: fetch or save the folder anew")
    if absent := sorted({name for name in found.values() if not (folder / name).is_file()}):
        raise UserError(f"{folder / INDEX} names files that are not there: {', '.join(absent[:3])}")
    if strange := [name for name in found.values() if Path(name).name != name]:
        raise UserError(f"{folder / INDEX} names a file outside its folder: {strange[0]}")
    return found


def _shapes_of(file: Path) -> Shapes:
    if not file.stat().st_size:
        raise UserError(f"{file} is empty: fetch or save it anew")
    try:
        with safe_open(file, "np") as tensors:  # it looks whether the file ends where its header says
            return {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise UserError(f"{file} is damaged or cut off ({problem}): fetch or save it anew") from problem


def _check_sizes(folder: Path, config: dict[str, Any], where: Family, shapes: Shapes) -> int | None:
    """Compare the FFNs and the embedding with config.json; the embedding's rows, None if its name is not known."""
    base, _, below = where.layers.partition(".")
    # Of a model that was saved without its head, or with it: the names lack the base model's prefix, or have it.
    plain = {name.removeprefix(f"{base}."): shape for name, shape in shapes.items()}
    names = NAMES.get(config["model_type"])
    layers = None if names is None else _size(folder, config, names.layers)
    if names is None or layers is None:
        return None  # the import knows what transformers fills in
    found = {int(name.split(".")[len(below.split("."))]) for name in plain if _is_of_layer(name, below)}
    if found != set(range(layers)):
        raise UserError(
            f"{folder}: {names.layers[0]} is {layers} in config.json, and the weights have {len(found)} layers of the "
            "family "
            f"{config['model_type']}: fetch or save the folder anew"
        )
    hidden = _size(folder, config, names.hidden)
    neurons = _size(folder, config, names.neurons)
    if neurons is None and names.quadruple and hidden is not None:
        neurons = 4 * hidden
    lost: list[str] = []
    for layer in range(layers):
        if where.experts is not None and f"{below}.{layer}.{where.reader}.weight" not in plain:
            lost += _lost_experts(config, where, f"{below}.{layer}", plain)
        else:
            lost += _lost_matrices(folder, where, f"{below}.{layer}", plain, hidden, neurons)
    if lost:
        raise UserError(
            f"{folder}: the weights lack {listed(lost)}, and random values would take their place: fetch or save the "
            "folder anew"
        )
    embedding = plain.get(f"{names.embedding}.weight")
    if embedding is None:
        raise UserError(f"{folder}: the weights lack the embedding ({names.embedding}.weight): fetch or save them anew")
    vocabulary = _size(folder, config, ("vocab_size",))
    if vocabulary is not None and embedding[0] != vocabulary:
        raise UserError(f"{folder}: the embedding has {embedding[0]} rows, config.json says {vocabulary} (vocab_size)")
    return embedding[0]


def _is_of_layer(name: str, below: str) -> bool:
    return name.startswith(f"{below}.") and name[len(below) + 1 :].split(".")[0].isdigit()


def _lost_matrices(
    folder: Path, where: Family, layer: str, shapes: Shapes, hidden: int | None, neurons: int | None
) -> list[str]:
    """The FFN matrices of a dense layer that are not there; raises a UserError for one of another shape."""
    lost = []
    fused = 2 if where.gate is not None and len(where.writers) == 1 else 1
    for path in (where.reader, *where.writers):
        name = f"{layer}.{path}.weight"
        shape = shapes.get(name)
        if shape is None:
            lost.append(name)
            continue
        expected = [hidden, neurons] if path == where.reader else [None if neurons is None else fused * neurons, hidden]
        expected = expected[::-1] if where.transposed else expected
        if len(shape) != 2 or any(size not in (None, has) for size, has in zip(expected, shape, strict=True)):
            raise UserError(
                f"{folder}: {name} has the shape {shape}, by config.json it would be {expected}: weights and "
                "config.json "
                "belong to different models"
            )
    return lost


def _lost_experts(config: dict[str, Any], where: Family, layer: str, shapes: Shapes) -> list[str]:
    """The experts of a layer that lack some of their three matrices, which files hold fused or one by one."""
    if any(name.startswith(f"{layer}.{where.experts}.down_proj") for name in shapes):
        return []
    matrices: dict[str, int] = {}
    for name in shapes:
        if name.startswith(f"{layer}.") and ".experts." in name:
            expert = name.split(".experts.")[1].split(".")[0]
            matrices[expert] = matrices.get(expert, 0) + 1
    number = config.get("num_local_experts", config.get("num_experts", len(matrices)))
    if len(matrices) != number:
        return [f"{layer}: experts ({len(matrices)} of {number})"]
    return [f"{layer}: expert {expert}'s matrices ({of_it} of 3)" for expert, of_it in matrices.items() if of_it < 3]


def _size(folder: Path, config: dict[str, Any], keys: tuple[str, ...]) -> int | None:
    """The first of some keys of config.json that is there; a UserError where it is no whole number above zero."""
    for key in keys:
        value = config.get(key)
        if value is not None:
            if type(value) is not int or value < 1:
                raise UserError(f"{folder}/config.json: {key} is {value!r}, no whole number above zero")
            return value
    return None


def _check_tokenizer(folder: Path, rows: int | None) -> None:
    file = folder / "tokenizer.json"
    if not file.is_file():
        if not any((folder / name).is_file() for name in TOKENIZERS):
            raise UserError(
                f"{folder} holds no tokenizer (tokenizer.json, tokenizer.model, or vocab.json and merges.txt): copy "
                "the "
                "files of the model's tokenizer there"
            )
        if (folder / "vocab.json").is_file() and not (folder / "merges.txt").is_file():
            raise UserError(f"{folder} holds a vocab.json without its merges.txt: copy the tokenizer's files anew")
        return
    _json_object(file)
    try:
        vocabulary = Tokenizer.from_file(str(file)).get_vocab(with_added_tokens=True)
    except Exception as problem:  # the library raises no narrower one
        raise UserError(f"{file} is no tokenizer ({problem}): copy the tokenizer's files anew") from problem
    if not vocabulary:
        raise UserError(f"{file} holds a tokenizer without a vocabulary: copy the tokenizer's files anew")
    # What no text holds counts last; as the end of text it would be looked at when the tokenizer is imported.
    token, last = max(vocabulary.items(), key=lambda entry: (entry[0] not in UNREAD_TOKENS, entry[1]))
    if rows is not None and last >= rows:
        raise UserError(
            f"{folder}: the tokenizer is larger than the embedding: {token!r} has the id {last}, and there are {rows} "
            "rows; "
            "the two belong to different models, or the embedding was not resized"
        )
    _check_end(folder)


def _check_end(folder: Path) -> None:
    """Raise a UserError where the tokenizer's config surely gives no end-of-text token."""
    settings = folder / "tokenizer_config.json"
    if not settings.is_file():
        return  # the class that transformers chooses may have one
    given = _json_object(settings)
    if (folder / "special_tokens_map.json").is_file():
        given = _json_object(folder / "special_tokens_map.json") | given
    if given.get("tokenizer_class") in NO_END and given.get("eos_token") is None:
        raise UserError(f"{settings} names no end-of-text token (eos_token), which ends every target: set one")


def listed(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _json_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as problem:
        raise UserError(f"{file} is no JSON ({problem}): fetch or save it anew") from problem
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no JSON object: fetch or save it anew")
    return content
