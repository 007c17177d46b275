"""Tiny random models and data for the unit tests."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from reliability.small import ROOT
from taskneurons.config.settings import LoopSettings, TuningLoop
from taskneurons.core.artifacts import write_frame
from taskneurons.models.loaded import Compute, LoadedModel, weights_hash
from taskneurons.neurons.blocks import blocks, know_identities
from taskneurons.training import loop
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.pretrain import build_tokenizer

SHARED = ROOT.parent / "shared"

# The files that take longest, first: two workers share the files out in this order, and end at about the same time.
LONGEST = ("test_end_to_end", "test_reruns", "test_presets", "test_own_model", "test_locks", "test_continual_methods")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


torch.set_num_threads(1)  # on tiny models two threads wait for each other longer than they compute

TEXTS = ["the cat sat on the mat .", "a dog saw the cat .", "yes no maybe good bad .", "review : great answer :"]

# The sizes of a tiny model, by the names that most configs have, and those of the configs that have others.
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
HEADS = {"num_key_value_heads": 2, "head_dim": 8}
# Name → (model_type, its config's settings). Some families come in two shapes.
TINY = {
    "bloom": ("bloom", {"hidden_size": 16, "n_layer": 3, "n_head": 2}),
    "falcon": ("falcon", {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "ffn_hidden_size": 24}),
    "falcon, new decoder": (
        "falcon",
        {
            **{"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "ffn_hidden_size": 24},
            **{"new_decoder_architecture": True, "num_kv_heads": 1, "bias": True},
        },
    ),
    "gemma2": ("gemma2", {**SIZES, **HEADS, "query_pre_attn_scalar": 8}),
    "gemma3_text": ("gemma3_text", {**SIZES, **HEADS, "query_pre_attn_scalar": 8}),
    "gpt2": ("gpt2", {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 128}),
    "gpt_neox": ("gpt_neox", SIZES),
    "llama": ("llama", {**SIZES, "max_position_embeddings": 128}),
    "mistral": ("mistral", {**SIZES, **HEADS}),
    "opt": ("opt", {**SIZES, "ffn_dim": 24, "max_position_embeddings": 128, "word_embed_proj_dim": 16}),
    "opt, post-norm": (
        "opt",
        {
            **{**SIZES, "ffn_dim": 24, "max_position_embeddings": 128, "word_embed_proj_dim": 8},
            "do_layer_norm_before": False,
        },
    ),
    "phi3": ("phi3", {**SIZES, "num_key_value_heads": 2}),
    "qwen2": ("qwen2", {**SIZES, "num_key_value_heads": 2}),
    "qwen3": ("qwen3", {**SIZES, **HEADS}),
}


MIXTURES = {
    "mixtral": ("mixtral", {**SIZES, **HEADS, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen3_moe, one layer dense": (
        "qwen3_moe",
        {
            **{**SIZES, **HEADS, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12},
            "mlp_only_layers": [1],
        },
    ),
}


def tiny_model(name: str, vocabulary: int = 300) -> PreTrainedModel:
    """A tiny random model of an architecture family, in float32 and evaluation mode."""
    torch.manual_seed(0)
    model_type, settings = {**TINY, **MIXTURES}[name]
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = AutoConfig.for_model(model_type, vocab_size=vocabulary, **special, **settings)
    return AutoModelForCausalLM.from_config(config).float().eval()


def readers(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The modules whose input is ω, layer by layer, of a dense model."""
    return [block.module for block in blocks(model)]


@pytest.fixture(params=list(TINY))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A tiny random model of every supported family and shape."""
    return tiny_model(request.param)


@pytest.fixture
def loaded() -> LoadedModel:
    """A tiny random Llama with a tokenizer of its own."""
    tokenizer = build_tokenizer(TEXTS, 300)
    compute = Compute(torch.device("cpu"), torch.float32)
    return LoadedModel(
        tiny_model("llama", len(tokenizer)), tokenizer, {"identity": "test", "model_type": "llama"}, compute
    )


def loaded_of(family: str) -> LoadedModel:
    """A tiny random model of a family, as a base model with its true identity."""
    model = tiny_model(family)
    provenance = {"identity": weights_hash(model), "state": "base", "model_type": model.config.model_type}
    know_identities(model, provenance["identity"], None)
    compute = Compute(torch.device("cpu"), torch.float32)
    return LoadedModel(model, build_tokenizer(TEXTS, 300), provenance, compute)


def task_file(path: Path, task: str) -> Path:
    """One split of a task of four examples."""
    words = ["the cat", "a dog saw the cat .", "yes", "maybe good"]
    frame = pd.DataFrame({"prompt": words, "target": ["yes", "no", "maybe", "good"]})
    frame["references"] = [[target] for target in frame["target"]]
    provenance = {"task": task, "labels": ["yes", "no", "maybe", "good"], "metric": "accuracy", "closing_words": ""}
    provenance |= {"split": "test", "tokens": {"prompt": 50, "target": 9}, "data_hash": "words", "lost": {}}
    write_frame(path, frame, "task data", provenance)
    return path


# Settings of a training: 4 steps on the task above.
TRAINING = LoopSettings(
    epochs=2,
    batch_size=2,
    batch_tokens=1000,
    learning_rate=1e-2,
    warmup=0.1,
    schedule="linear",
    weight_decay=0.1,
    max_gradient_norm=1.0,
    gradient_checkpointing=False,
    validation=2,
    patience=0,
)


# The same without its learning rate, which neuron tuning chooses.
TUNING = TuningLoop(**TRAINING.model_dump(exclude={"learning_rate"}))


def rates_file(path: Path, kind: str, learning_rate: float) -> Path:
    """The learning rate that was chosen for a kind of set."""
    write_frame(path, pd.DataFrame(), "learning rates", {"set_kind": kind, "learning_rate": learning_rate})
    return path


class KilledError(Exception):
    pass


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch):
    """Let trainings die just before this step, counted over all of them from now on."""
    own, done = loop._step, []

    def dying(*arguments):
        if len(done) == step:
            raise KilledError
        done.append(step)
        return own(*arguments)

    monkeypatch.setattr(loop, "_step", dying)


@pytest.fixture
def steps(monkeypatch):
    """The steps that trainings take; each is followed by a checkpoint."""
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)
    own, taken = loop._step, []

    def counted(*arguments):
        taken.append(arguments[-1])
        return own(*arguments)

    monkeypatch.setattr(loop, "_step", counted)
    return taken
