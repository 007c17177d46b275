"""Models in which known neurons alone carry a task, by construction, among distractors that fire just as strongly.

A prompt is a few keys, and the answer is the partner of the last one. The residual stream has three parts: the keys
(the embedding writes them, and attention and the FFNs read them), the answers (the head alone reads them) and a waste
that nobody reads. The planted neurons, one a key, see their key and write its answer. Every distractor sees some key
with the very same weights, and writes a vector of the same norm to the waste. Norms are switched off, so that the waste
has no way back: without the distractors the logits are the same.
"""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from taskneurons.attribution.measuring import CriterionSettings
from taskneurons.core.named import named
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.models.loaded import Compute, LoadedModel
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import NeuronSet, ranking

KEYS, LAYERS, WIDTH = 10, 3, 40
CPU = torch.device("cpu")
SETTINGS = CriterionSettings(aggregation="sample", loss="mean", batch_size=16, batch_tokens=4096)


def planted_model(seed):
    """The model, and the flags of its planted neurons (n_neurons,). Tokens 0–9 are keys, 10–19 their answers."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    vocabulary = 2 * KEYS
    keys, answers, waste = slice(0, KEYS), KEYS, slice(2 * KEYS, 3 * KEYS)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=3 * KEYS,
            intermediate_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=3,
            tie_word_embeddings=False,
        )
    ).eval()
    planted = np.zeros(LAYERS * WIDTH, dtype=bool)
    planted[rng.choice(LAYERS * WIDTH, KEYS, replace=False)] = True
    partner = iter(rng.permutation(KEYS))  # each key has one planted neuron
    with torch.no_grad():
        model.model.embed_tokens.weight.zero_()
        model.model.embed_tokens.weight[:KEYS, keys] = torch.eye(KEYS)
        model.lm_head.weight.zero_()
        model.lm_head.weight[KEYS:, KEYS : 2 * KEYS] = torch.eye(KEYS)
        model.model.norm = torch.nn.Identity()
        for layer, block in enumerate(model.model.layers):
            block.input_layernorm = block.post_attention_layernorm = torch.nn.Identity()
            for projection in (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj):
                projection.weight[:, KEYS:] = 0
            block.self_attn.o_proj.weight[KEYS:] = 0
            block.mlp.gate_proj.weight.zero_()
            block.mlp.up_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
            for neuron in range(WIDTH):
                own = planted[layer * WIDTH + neuron]
                key = next(partner) if own else rng.integers(KEYS)
                block.mlp.gate_proj.weight[neuron, key] = 4.0
                block.mlp.up_proj.weight[neuron, key] = 1.0
                if own:
                    block.mlp.down_proj.weight[answers + key, neuron] = 2.0
                else:
                    away = torch.randn(KEYS)
                    block.mlp.down_proj.weight[waste, neuron] = 2.0 * away / away.norm()
    return model, planted


def examples(seed, number=64):
    rng = np.random.default_rng(seed)
    prompts = rng.integers(KEYS, size=(number, 4))
    prompts[:KEYS, -1] = np.arange(KEYS)  # every key is asked for
    return [(prompt.tolist(), [int(prompt[-1]) + KEYS]) for prompt in prompts]


def precision(found, planted):
    """The share of planted neurons among as many best ones; equal scores are ordered by chance."""
    shuffled = np.random.default_rng(0).permutation(len(found))
    ranks = np.empty(len(found), dtype=int)
    ranks[shuffled] = ranking(found[shuffled], (len(found),))
    return planted[ranks < planted.sum()].mean()


@torch.no_grad()
def logits(model, pairs, neurons=None):
    with deactivated(model, neurons):
        return model(input_ids=torch.tensor([prompt for prompt, _ in pairs])).logits[:, -1]


@pytest.mark.parametrize("seed", range(5))
def test_the_score_finds_the_planted_neurons_and_activation_does_not(seed):
    model, planted = planted_model(seed)
    loaded = LoadedModel(model, None, {}, Compute(CPU, torch.float32))
    found = {
        name: named("attribution.criteria", name).values(loaded, examples(seed), SETTINGS)
        for name in ("attribution", "activation")
    }
    assert precision(found["attribution"], planted) >= 0.99
    assert precision(found["activation"], planted) <= 0.5


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_neurons_alone_carry_the_task(seed):
    """What the construction promises: distractors change no logit, planted neurons change every answer."""
    model, planted = planted_model(seed)
    pairs = examples(seed)
    answers = torch.tensor([target[0] for _, target in pairs])
    whole = logits(model, pairs)
    assert torch.equal(logits(model, pairs, NeuronSet(~planted, tuple(widths(model)))), whole)
    assert (whole.argmax(dim=1) == answers).all()
    assert (logits(model, pairs, NeuronSet(planted, tuple(widths(model)))).argmax(dim=1) != answers).all()
