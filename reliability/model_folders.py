"""Broken and odd model folders and GGUF files: is each refused clearly, or imported as it is?

They are made of tiny models, and each goes through what a run does: the check of the config, the import, the loading.
"""

import json
import random
import shutil
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from taskneurons.checks.config import checked_config
from taskneurons.config.settings import DeviceSettings
from taskneurons.core.errors import UserError
from taskneurons.models import import_base
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.training.pretrain import build_tokenizer

ROOT = Path(__file__).parents[1]
TEXTS = ["the cat sat on the mat .", "a dog saw the cat .", "yes no maybe good bad .", "review : great answer :"]
ROWS = 300  # of the embedding; as many tokens as the tokenizer has
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {**SIZES, "max_position_embeddings": 128},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128},
    "mixtral": {**SIZES, "num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 4},
}
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
UP = "model.layers.1.mlp.up_proj.weight"


@cache
def tiny(family: str) -> PreTrainedModel:
    """A tiny random model."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, vocab_size=ROWS, bos_token_id=None, eos_token_id=0, **MODELS[family])
    return AutoModelForCausalLM.from_config(config).float().eval()


def model_folder(folder: Path, family: str = "llama", **settings: Any) -> Path:
    """A tiny model with its tokenizer, as transformers saves it; then entries of config.json are set."""
    tiny(family).save_pretrained(folder)
    build_tokenizer(TEXTS, ROWS).save_pretrained(folder)
    in_json("config.json", **settings)(folder)
    return folder


def gguf_file(
    path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], Any] = lambda keys, weights: 0
) -> Path:
    """The tiny Llama as a GGUF file in float32.

    Args:
        change: changes its keys and weights before they are written.
    """
    model, words = tiny("llama"), json.loads(build_tokenizer(TEXTS, ROWS).backend_tokenizer.to_str())["model"]
    stored = {name: weights.detach().numpy() for name, weights in model.state_dict().items()}
    weights = {
        "token_embd.weight": stored["model.embed_tokens.weight"],
        "output_norm.weight": stored["model.norm.weight"],
        "output.weight": stored["lm_head.weight"],
    }
    parts = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    parts |= {f"mlp.{name}_proj": f"ffn_{name}" for name in ("gate", "up", "down")}
    parts |= {f"self_attn.{name}_proj": f"attn_{name.replace('o', 'output')}" for name in "qkvo"}
    for layer in range(SIZES["num_hidden_layers"]):
        for ours, theirs in parts.items():
            value = stored[f"model.layers.{layer}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):  # GGUF's Llama has the halves of the rotary dimensions side by side
                heads, width = SIZES["num_attention_heads"], len(value)
                value = value.reshape(heads, 2, width // heads // 2, -1).swapaxes(1, 2).reshape(width, -1)
            weights[f"blk.{layer}.{theirs}.weight"] = np.ascontiguousarray(value)
    keys: dict[str, Any] = {
        "llama.context_length": 128,
        "llama.block_count": 2,
        "llama.embedding_length": 16,
        "llama.feed_forward_length": 24,
        "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.dimension_count": 8,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": sorted(words["vocab"], key=lambda token: words["vocab"][token]),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in words["merges"]],
        "tokenizer.ggml.eos_token_id": 0,
    }
    change(keys, weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, "llama")
    for key, value in keys.items():
        kind = {str: writer.add_string, list: writer.add_array, int: writer.add_uint32, float: writer.add_float32}
        kind[type(value)](key, value)
    for name, tensor in weights.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


# ---- changes of a folder ----


def in_json(name: str, **entries: Any) -> Callable[[Path], None]:
    """Set entries of a JSON file; those that are None go."""

    def change(folder: Path) -> None:
        file = folder / name
        content = (json.loads(file.read_text()) if file.exists() else {}) | entries
        file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


def in_weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Change the tensors of the one weights file, by name."""

    def of_folder(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        change(weights)
        save_file({name: tensor.clone() for name, tensor in weights.items()}, folder / WEIGHTS, {"format": "pt"})

    return of_folder


def without(*parts: str) -> Callable[[Path], None]:
    """Take away the tensors whose names hold one of some texts."""

    def change(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if any(part in name for part in parts)]:
            del weights[name]

    return in_weights(change)


def value_of(name: str, value: float) -> Callable[[Path], None]:
    """Set one value of a tensor."""
    return in_weights(lambda weights: weights[name].view(-1).__setitem__(5, value))


def in_bytes(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change a file's bytes; the folder's own where it is a file."""

    def of_folder(folder: Path) -> None:
        file = folder / name if name else folder
        file.write_bytes(change(file.read_bytes()))

    return of_folder


def removed(*names: str) -> Callable[[Path], None]:
    """Take files away."""
    return lambda folder: [(folder / name).unlink() for name in names] and None


def sharded(change: Callable[[Path, dict[str, str]], Any] = lambda folder, index: 0) -> Callable[[Path], None]:
    """Part the weights into two files and an index (tensor → file), and change those."""

    def of_folder(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        index = {name: f"model-{1 + number % 2}-of-2.safetensors" for number, name in enumerate(sorted(weights))}
        for file in set(index.values()):
            part = {name: weights[name] for name in weights if index[name] == file}
            save_file(part, folder / file, {"format": "pt"})
        change(folder, index)
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))

    return of_folder


def in_shard(number: int, change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Change the tensors of one of two files."""

    def of_shards(folder: Path, index: dict[str, str]) -> None:
        file = folder / f"model-{number}-of-2.safetensors"
        weights = load_file(file)
        change(weights)
        save_file(weights, file, {"format": "pt"})

    return sharded(of_shards)


def twice(folder: Path, index: dict[str, str]) -> None:
    """Put a tensor of the second file into the first, with another value."""
    first, second = (folder / f"model-{number}-of-2.safetensors" for number in (1, 2))
    name, tensor = next(iter(load_file(second).items()))
    save_file(load_file(first) | {name: tensor + 1}, first, {"format": "pt"})


def pickled(folder: Path) -> None:
    """The same weights as pickled ones."""
    torch.save(tiny("llama").state_dict(), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def larger_tokenizer(folder: Path) -> None:
    """A tokenizer with more words than the embedding has rows."""
    tokenizer = build_tokenizer(TEXTS, ROWS)
    tokenizer.add_tokens(["zebra", "giraffe"])
    tokenizer.save_pretrained(folder)


def _in_gguf(change: Callable[[dict[str, Any], dict[str, np.ndarray]], Any]) -> Callable[[Path], None]:
    return lambda file: gguf_file(file, change) and None


def _not_a_number(keys: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
    weights["blk.0.ffn_up.weight"] = np.full_like(weights["blk.0.ffn_up.weight"], np.nan)


@dataclass(frozen=True)
class Case:
    """A folder or file, made of a good one.

    Attributes:
        expected: "refused", or "harmless": imported as the model that it was made of.
        change: what is done to the good one.
        start: the family of the good folder, or "gguf".
        tokens: the budgets of the config.
        source: the config's source; None: the path.
    """

    name: str
    expected: str
    change: Callable[[Path], Any]
    start: str = "llama"
    tokens: tuple[int, int] = (48, 16)
    source: dict[str, Any] | None = None


CASES = [
    Case("as saved", "harmless", lambda folder: None),
    Case("GPT-2 as saved", "harmless", lambda folder: None, "gpt2"),
    Case("a mixture of experts as saved", "harmless", lambda folder: None, "mixtral"),
    Case("in two files", "harmless", sharded()),
    Case(
        "names without the base model's prefix",
        "harmless",
        in_weights(
            lambda weights: [
                weights.update({name.removeprefix("transformer."): weights.pop(name)}) for name in list(weights)
            ]
        ),
        "gpt2",
    ),
    Case(
        "old buffers of the rotary embedding",
        "harmless",
        in_weights(lambda weights: weights.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})),
    ),
    Case(
        "old buffers of the attention mask",
        "harmless",
        in_weights(lambda weights: weights.update({"transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8)})),
        "gpt2",
    ),
    Case("config.json names another dtype", "harmless", in_json("config.json", dtype="bfloat16")),
    Case(
        "generation settings of its own",
        "harmless",
        in_json("generation_config.json", min_new_tokens=9, repetition_penalty=3.0),
    ),
    Case(
        "sampling settings that contradict", "harmless", in_json("generation_config.json", temperature=0.1, top_p=0.5)
    ),
    Case("pickled weights beside", "harmless", lambda folder: (folder / "pytorch_model.bin").write_bytes(b"pickle")),
    Case("code of its own", "harmless", in_json("config.json", auto_map={"AutoModelForCausalLM": "code.Model"})),
    Case("lacks FFN weights", "refused", without("mlp.up_proj", "mlp.down_proj")),
    Case("lacks one FFN matrix", "refused", without(UP)),
    Case("GPT-2 lacks one FFN matrix", "refused", without("h.1.mlp.c_fc.weight"), "gpt2"),
    Case("lacks a query matrix", "refused", without("layers.0.self_attn.q_proj")),
    Case("lacks a norm", "refused", without("model.norm")),
    Case("lacks its head", "refused", without("lm_head")),
    Case("lacks its embedding", "refused", without("embed_tokens")),
    Case("lacks a layer", "refused", without("layers.1.")),
    Case("lacks an expert", "refused", without("experts.3."), "mixtral"),
    Case("lacks an expert's matrix", "refused", without("layers.0.block_sparse_moe.experts.2.w1"), "mixtral"),
    Case("weights of no layer", "refused", in_weights(lambda weights: weights.update({"model.more": torch.ones(3)}))),
    Case("fewer layers in config.json", "refused", in_json("config.json", num_hidden_layers=1)),
    Case("more layers in config.json", "refused", in_json("config.json", num_hidden_layers=3)),
    Case("other neurons in config.json", "refused", in_json("config.json", intermediate_size=32)),
    Case("another vocabulary in config.json", "refused", in_json("config.json", vocab_size=400)),
    Case("heads that do not divide", "refused", in_json("config.json", num_attention_heads=3)),
    Case("heads of another number", "refused", in_json("config.json", num_key_value_heads=1)),
    Case("layers as text", "refused", in_json("config.json", num_hidden_layers="two")),
    Case(
        "a query matrix of another shape",
        "refused",
        in_weights(lambda weights: weights.update({"model.layers.0.self_attn.q_proj.weight": torch.ones(8, 16)})),
    ),
    Case(
        "an FFN matrix of another shape", "refused", in_weights(lambda weights: weights.update({UP: torch.ones(9, 9)}))
    ),
    Case("not a number", "refused", value_of(UP, float("nan"))),
    Case("infinite", "refused", value_of("model.norm.weight", float("inf"))),
    Case("no weights", "refused", removed(WEIGHTS)),
    Case("only pickled weights", "refused", pickled),
    Case("weights of zero bytes", "refused", in_bytes(WEIGHTS, lambda content: b"")),
    Case("weights cut off", "refused", in_bytes(WEIGHTS, lambda content: content[:-100])),
    Case("weights cut off in the header", "refused", in_bytes(WEIGHTS, lambda content: content[:200])),
    Case("a damaged header", "refused", in_bytes(WEIGHTS, lambda content: content[:9] + b"\xff" * 9 + content[18:])),
    Case("a header of absurd length", "refused", in_bytes(WEIGHTS, lambda content: b"\xff" * 8 + content[8:])),
    Case(
        "an index of absent files", "refused", sharded(lambda folder, index: index.update(more="model-3.safetensors"))
    ),
    Case("an index without tensors", "refused", sharded(lambda folder, index: index.clear())),
    Case("an index that is no JSON", "refused", lambda folder: (sharded()(folder), (folder / INDEX).write_text("{"))),
    Case(
        "an index beside other weights",
        "refused",
        lambda folder: (sharded()(folder), tiny("llama").save_pretrained(folder)),
    ),
    Case("a file that lacks tensors", "refused", in_shard(1, lambda weights: weights.pop(sorted(weights)[0]))),
    Case("a tensor in two files", "refused", sharded(twice)),
    Case("quantised", "refused", in_json("config.json", quantization_config={"quant_method": "gptq", "bits": 4})),
    Case(
        "an adapter",
        "refused",
        in_json("adapter_config.json", base_model_name_or_path="someone/model", peft_type="LORA"),
    ),
    Case("no config.json", "refused", removed("config.json")),
    Case("config.json of zero bytes", "refused", in_bytes("config.json", lambda content: b"")),
    Case("config.json is cut off", "refused", in_bytes("config.json", lambda content: content[:50])),
    Case(
        "config.json is UTF-16", "refused", in_bytes("config.json", lambda content: content.decode().encode("utf-16"))
    ),
    Case("config.json is a list", "refused", in_bytes("config.json", lambda content: b"[1]")),
    Case("no model_type", "refused", in_json("config.json", model_type=None)),
    Case("an unknown family", "refused", in_json("config.json", model_type="rwkv")),
    Case("another family", "refused", in_json("config.json", model_type="gpt2")),
    Case("no tokenizer", "refused", removed("tokenizer.json", "tokenizer_config.json")),
    Case("GPT-2 without tokenizer", "refused", removed("tokenizer.json", "tokenizer_config.json"), "gpt2"),
    Case("no tokenizer.json", "refused", removed("tokenizer.json")),
    Case("tokenizer.json is cut off", "refused", in_bytes("tokenizer.json", lambda content: content[:500])),
    Case("tokenizer.json of something else", "refused", in_bytes("tokenizer.json", lambda content: b'{"a": 1}')),
    Case(
        "tokenizer_config.json is cut off", "refused", in_bytes("tokenizer_config.json", lambda content: content[:30])
    ),
    Case("a tokenizer larger than the embedding", "refused", larger_tokenizer),
    Case("no end of text", "refused", in_json("tokenizer_config.json", eos_token=None)),
    Case("an end of text of no row", "refused", in_json("tokenizer_config.json", eos_token="<none>")),
    Case("no tokenizer_config.json", "refused", removed("tokenizer_config.json")),
    Case("a tokenizer of another class", "refused", in_json("tokenizer_config.json", tokenizer_class="BertTokenizer")),
    Case("a context below the budgets", "refused", in_json("config.json", max_position_embeddings=64)),
    Case("GPT-2 with a context below the budgets", "refused", lambda folder: None, "gpt2", (120, 8)),
    Case(
        "a local folder as the hub's",
        "refused",
        lambda folder: None,
        source={"hub": "model", "revision": "main"},
    ),
    Case("a GGUF file", "harmless", lambda file: None, "gguf"),
    Case("GGUF: zero bytes", "refused", in_bytes("", lambda content: b""), "gguf"),
    Case("GGUF: something else", "refused", in_bytes("", lambda content: b"PK" + content[2:]), "gguf"),
    Case("GGUF: version 1", "refused", in_bytes("", lambda content: content[:4] + b"\1" + content[5:]), "gguf"),
    Case("GGUF: big-endian", "refused", in_bytes("", lambda content: content[:4] + b"\0\0\0\3" + content[8:]), "gguf"),
    Case("GGUF: only the magic", "refused", in_bytes("", lambda content: content[:4]), "gguf"),
    Case("GGUF: cut off in the header", "refused", in_bytes("", lambda content: content[:900]), "gguf"),
    Case("GGUF: cut off in the data", "refused", in_bytes("", lambda content: content[:-700]), "gguf"),
    Case(
        "GGUF: absurd counts",
        "refused",
        in_bytes("", lambda content: content[:8] + b"\xff" * 16 + content[24:]),
        "gguf",
    ),
    Case(
        "GGUF: no context length", "refused", _in_gguf(lambda keys, weights: keys.pop("llama.context_length")), "gguf"
    ),
    Case("GGUF: no heads", "refused", _in_gguf(lambda keys, weights: keys.pop("llama.attention.head_count")), "gguf"),
    Case(
        "GGUF: no key heads",
        "refused",
        _in_gguf(lambda keys, weights: keys.pop("llama.attention.head_count_kv")),
        "gguf",
    ),
    Case(
        "GGUF: scaled",
        "refused",
        _in_gguf(lambda keys, weights: keys.update({"llama.rope.scaling.type": "yarn"})),
        "gguf",
    ),
    Case(
        "GGUF: scaled by a tensor",
        "refused",
        _in_gguf(lambda keys, weights: weights.update({"rope_freqs.weight": np.ones(4, np.float32)})),
        "gguf",
    ),
    Case("GGUF: no tokenizer", "refused", _in_gguf(lambda keys, weights: keys.pop("tokenizer.ggml.tokens")), "gguf"),
    Case(
        "GGUF: lacks an FFN matrix",
        "refused",
        _in_gguf(lambda keys, weights: weights.pop("blk.1.ffn_up.weight")),
        "gguf",
    ),
    Case(
        "GGUF: lacks a query matrix",
        "refused",
        _in_gguf(lambda keys, weights: weights.pop("blk.1.attn_q.weight")),
        "gguf",
    ),
    Case(
        "GGUF: lacks a layer", "refused", _in_gguf(lambda keys, weights: keys.update({"llama.block_count": 3})), "gguf"
    ),
    Case("GGUF: not a number", "refused", _in_gguf(_not_a_number), "gguf"),
    Case("GGUF: a context below the budgets", "refused", lambda file: None, "gguf", (120, 8)),
]


def made(case: Case, folder: Path) -> Path:
    """Make a case's model folder or file in an empty folder."""
    place = gguf_file(folder / "model.gguf") if case.start == "gguf" else model_folder(folder / "model", case.start)
    case.change(place)
    return place


def config_of(case: Case, place: Path) -> dict[str, Any]:
    """A run's config with that model."""
    source = case.source or {"gguf" if case.start == "gguf" else "path": str(place)}
    return {
        "run": "reliability",
        "model": {"name": "m", "source": source},
        "data": {"tokens": {"prompt": case.tokens[0], "target": case.tokens[1]}},
        "neuron_tuning": None,
        "tasks": {
            "news": {"family": "f", "source": {"suite": "town_news"}, "prompt": "{report} :", "target": "summary"}
        },
    }


def taken_through(case: Case, folder: Path) -> LoadedModel:
    """Check the config, import the model twice and load it; raises whatever these do."""
    place = made(case, folder)
    with chdir(folder):
        source = checked_config(config_of(case, place), ROOT).config.model.source
        loaded = []
        for name in ("first", "second"):
            import_base.main(import_base.ImportSettings(source=source), files=[], model=folder / name)
            loaded.append(load_model(folder / name, DeviceSettings(threads=1, device="cpu", dtype="float32")))
    if loaded[0].identity != loaded[1].identity:
        raise AssertionError("two imports have different identities")
    return loaded[0]


def differs(loaded: LoadedModel, case: Case) -> str | None:
    """In what an imported model is not the one that the folder was made of."""
    truth = tiny("llama" if case.start == "gguf" else case.start).state_dict()
    weights = loaded.model.state_dict()
    if other := [name for name in truth if name not in weights or not torch.equal(weights[name], truth[name])]:
        return f"the weights differ: {', '.join(other[:3])}"
    words, text = build_tokenizer(TEXTS, ROWS), f" {' '.join(TEXTS)}"  # with a space, which not all put before a text
    if loaded.tokenizer(text)["input_ids"] != words(text)["input_ids"]:
        return "the tokenizer cuts a text otherwise"
    if loaded.tokenizer.eos_token_id != words.eos_token_id:
        return "the end-of-text token differs"
    own = loaded.model.generation_config.to_diff_dict()
    return f"generation settings came along: {own}" if set(own) - {"transformers_version"} else None


def tried(case: Case, folder: Path) -> dict[str, str]:
    """A case's name, its outcome (refused clearly, harmless, traceback, silently wrong) and the message."""
    try:
        wrong = differs(taken_through(case, folder), case)
    except UserError as problem:
        return {"name": case.name, "outcome": "refused clearly", "message": str(problem)}
    except AssertionError as problem:
        wrong = str(problem)
    except Exception as problem:
        return {"name": case.name, "outcome": "traceback", "message": f"{type(problem).__name__}: {problem}"}
    return {"name": case.name, "outcome": "silently wrong" if wrong else "harmless", "message": wrong or ""}


def as_expected(case: Case, result: dict[str, str]) -> bool:
    """Whether a case ended as it should."""
    return result["outcome"] == ("refused clearly" if case.expected == "refused" else "harmless")


def try_all(folder: Path, number: int | None = None, seed: int = 0) -> list[dict[str, str]]:
    """The outcomes of all cases, or of a seeded sample of so many; `folder` holds one at a time."""
    cases = CASES if number is None else random.Random(seed).sample(CASES, number)
    results = []
    for case in cases:
        place = folder / "case"
        place.mkdir(parents=True)
        results.append({**tried(case, place), "expected": case.expected})
        shutil.rmtree(place)
    return results
