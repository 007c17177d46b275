"""Classification by label likelihood and greedy generation, against slow and simple references."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer

from conftest import MIXTURES, TINY, loaded_of
from taskneurons.core.errors import UserError
from taskneurons.data.labels import check_labels
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.evaluation.classification import deeper_beginnings, label_scores
from taskneurons.evaluation.generation import generate, rouge_l
from taskneurons.neurons.blocks import blocks, widths
from taskneurons.neurons.mean_outputs import MeanOutputs
from taskneurons.neurons.neuron_set import NeuronSet

PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15]]
LABELS = [[20], [21, 22, 23], [21, 24], [25, 26]]


def slow_score(loaded, prompt, label):
    logits = torch.log_softmax(loaded.model(input_ids=torch.tensor([prompt + label])).logits[0], -1)
    return sum(logits[len(prompt) - 1 + n, token].item() for n, token in enumerate(label))


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_label_scores(loaded, batch_size):
    scores = label_scores(loaded, PROMPTS, LABELS, batch_size)
    means = label_scores(loaded, PROMPTS, LABELS, batch_size, "mean")
    for row, prompt in enumerate(PROMPTS):
        for column, label in enumerate(LABELS):
            expected = slow_score(loaded, prompt, label)
            assert scores[row, column].item() == pytest.approx(expected, abs=1e-4)
            assert means[row, column].item() == pytest.approx(expected / len(label), abs=1e-4)


@pytest.mark.parametrize("family", [*TINY, *MIXTURES])
def test_a_prompt_is_read_once_for_all_its_labels(family):
    """Whatever the family makes of positions, windows and caches; with neurons at their means too."""
    loaded = loaded_of(family)
    width = sum(block.width for block in blocks(loaded.model))
    neurons = NeuronSet(np.arange(width) % 3 == 0, tuple(widths(loaded.model)), loaded.identity)
    means = MeanOutputs(np.linspace(-1, 1, width), tuple(widths(loaded.model)), loaded.identity)
    for off in (nullcontext(), deactivated(loaded.model, neurons, means)):
        with off, torch.no_grad():
            scores = label_scores(loaded, PROMPTS, LABELS, 3)
            expected = [[slow_score(loaded, prompt, label) for label in LABELS] for prompt in PROMPTS]
        assert scores.tolist() == [pytest.approx(row, abs=1e-5) for row in expected]


def test_labels_share_forward_passes():
    assert deeper_beginnings([[1], [2], [3]]) == []
    assert deeper_beginnings(LABELS) == [[21, 22], [25]]


def test_a_label_that_begins_another_is_refused():
    check_labels(["no", "yes"], [[1], [2, 3]])
    with pytest.raises(UserError, match="'very' begins the label 'very good'"):
        check_labels(["very", "very good"], [[1], [1, 2]])


def slow_greedy(loaded, prompt, most):
    ids = list(prompt)
    for _ in range(most):
        ids.append(loaded.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item())
        if ids[-1] == loaded.tokenizer.eos_token_id:
            break
    new = [token for token in ids[len(prompt) :] if token != loaded.tokenizer.eos_token_id]
    return loaded.tokenizer.decode(new).strip()


def test_generation_is_greedy_whatever_the_padding(loaded):
    expected = [slow_greedy(loaded, prompt, 6) for prompt in PROMPTS]
    assert generate(loaded, PROMPTS, 6, batch_size=3) == expected
    assert generate(loaded, PROMPTS, 6, batch_size=1) == expected


@pytest.mark.parametrize("family", ["bloom", "falcon", "gemma2", "gpt2", "gpt_neox", "mistral", "opt", "phi3", "qwen3"])
def test_left_padding_does_not_reach_the_answers(family):
    """Positions that are learnt (gpt2, opt), rotated or added as ALiBi (bloom): all count from a row's own start."""
    loaded = loaded_of(family)
    if family == "bloom":  # its attention hardly reaches the answers while its weights are small
        for layer in loaded.model.transformer.h:
            for parameter in layer.self_attention.parameters():
                parameter.data.mul_(8)
    expected = [slow_greedy(loaded, prompt, 6) for prompt in PROMPTS]
    assert generate(loaded, PROMPTS, 6, batch_size=3) == expected
    assert len(set(expected)) > 1


def test_a_models_own_generation_settings_do_not_count(loaded):
    expected = generate(loaded, PROMPTS, 6, batch_size=3)
    loaded.model.generation_config.do_sample = True
    loaded.model.generation_config.repetition_penalty = 5.0
    assert generate(loaded, PROMPTS, 6, batch_size=3) == expected


def test_rouge_l_is_the_best_over_references():
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    known = ["the cat sat on the mat", "a dog ran"]
    expected = max(scorer.score(text, "the cat ran")["rougeL"].fmeasure for text in known)
    assert rouge_l("the cat ran", known) == pytest.approx(expected)
    assert rouge_l("", known) == 0
    # By hand: the longest common subsequence of the two is "the cat": 2/3 and 2/6.
    assert rouge_l("the cat ran", known[:1]) == pytest.approx(2 * (2 / 3) * (2 / 6) / (2 / 3 + 2 / 6))
