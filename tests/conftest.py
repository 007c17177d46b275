"""Tiny random models and data for the unit tests."""

from pathlib import Path

import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from taskneurons.models import Compute, LoadedModel
from taskneurons.pretrain_base import build_tokenizer

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

TEXTS = ["the cat sat on the mat .", "a dog saw the cat .", "yes no maybe good bad .", "review : great answer :"]


def tiny_llama(vocabulary: int = 300) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=128,
    )
    return LlamaForCausalLM(config).eval()


def tiny_bloom(vocabulary: int = 300) -> PreTrainedModel:
    torch.manual_seed(0)
    return BloomForCausalLM(BloomConfig(vocab_size=vocabulary, hidden_size=16, n_layer=3, n_head=2)).eval()


TINY = {"llama": tiny_llama, "bloom": tiny_bloom}


@pytest.fixture(params=list(TINY))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A tiny random model of every supported family."""
    return TINY[request.param]()


@pytest.fixture
def loaded() -> LoadedModel:
    """A tiny random Llama with a tokenizer of its own."""
    tokenizer = build_tokenizer(TEXTS, 300)
    compute = Compute(torch.device("cpu"), torch.float32)
    return LoadedModel(tiny_llama(len(tokenizer)), tokenizer, {"identity": "test", "model_type": "llama"}, compute)
