"""The fixed geometry of the benchmarks: a Llama of random weights, and random token ids."""

from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from taskneurons.data.encoding import Pair
from taskneurons.models.loaded import Compute, LoadedModel

CPU = torch.device("cpu")
GEOMETRY = {
    "family": "llama",
    "layers": 8,
    "d": 512,
    "d_ff": 1376,
    "vocabulary": 8192,
    "batch": 16,
    "tokens": 128,
    "targets": 16,
}


def build(geometry: dict[str, Any], dtype: torch.dtype = torch.float32) -> LoadedModel:
    """A Llama of random weights, frozen."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=geometry["vocabulary"],
        hidden_size=geometry["d"],
        intermediate_size=geometry["d_ff"],
        num_hidden_layers=geometry["layers"],
        num_attention_heads=geometry["d"] // 64,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    return LoadedModel(model, None, {}, Compute(CPU, dtype))


def examples(geometry: dict[str, Any], number: int) -> list[Pair]:
    """Random token ids: prompts and targets."""
    # As many are made whatever the number, so that what making them left free does not differ between processes.
    ids = np.random.default_rng(0).integers(geometry["vocabulary"], size=(10000, geometry["tokens"])).tolist()
    split = geometry["tokens"] - geometry["targets"]
    return [(row[:split], row[split:]) for row in ids][:number]
