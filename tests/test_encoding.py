"""Tokens of prompts and targets, and what padding and truncation may do."""

import pytest
import torch

from taskneurons.config.settings import TokenBudget
from taskneurons.core.errors import UserError
from taskneurons.data.batches import by_length
from taskneurons.data.encoding import collate, continuation, encode, sample_losses

CPU = torch.device("cpu")


def test_prompt_and_target_are_the_running_text(loaded):
    example = encode(loaded.tokenizer, "the cat sat on the mat :", "good cat", ":", TokenBudget(prompt=50, target=10))
    whole = loaded.tokenizer("the cat sat on the mat : good cat")["input_ids"]
    assert example.prompt + example.target == [*whole, loaded.tokenizer.eos_token_id]
    assert not example.prompt_truncated
    assert not example.target_truncated


def test_truncation_keeps_the_closing_words_and_tells(loaded):
    prompt = "the cat sat on the mat . the cat sat on the mat . answer :"
    example = encode(loaded.tokenizer, prompt, "a dog saw the cat", " answer :", TokenBudget(prompt=8, target=3))
    assert len(example.prompt) == 8
    assert example.prompt_truncated
    assert loaded.tokenizer.decode(example.prompt).endswith("answer :")
    assert loaded.tokenizer.decode(example.prompt).strip().startswith("the cat sat")
    assert len(example.target) == 3
    assert example.target_truncated
    assert example.target[-1] != loaded.tokenizer.eos_token_id


def test_a_budget_without_room_for_the_closing_words_is_told(loaded):
    with pytest.raises(UserError, match="prompt budget of 2 tokens is too small"):
        encode(loaded.tokenizer, "the cat sat on the mat answer :", "a", " answer :", TokenBudget(prompt=2, target=3))


def test_a_tokenizer_that_merges_across_the_space_is_told():
    class Merging:
        def __call__(self, text, **options):
            return {"input_ids": [len(text)]}

    with pytest.raises(UserError, match="does not split between"):
        continuation(Merging(), "x:", "yes")


def test_padding_counts_for_nothing(loaded):
    pairs = [([5, 6, 7, 8, 9], [10, 11, 12]), ([13], [14]), ([], [15, 16])]
    with torch.no_grad():
        together = sample_losses(loaded.model, collate(pairs, CPU))
        alone = torch.cat([sample_losses(loaded.model, collate([pair], CPU)) for pair in pairs])
    assert torch.allclose(together, alone, atol=1e-6)


def test_an_empty_prompt_leaves_out_the_first_token():
    batch = collate([([], [4, 5, 6])], CPU)
    assert batch.targets.tolist() == [5, 6]
    assert batch.predicts.tolist() == [[True, True, False]]


def test_batches_by_length_hold_every_row_once():
    batches = by_length([3, 9, 1, 9, 4], 2)
    assert batches == [[1, 3], [4, 0], [2]]


def test_a_token_budget_bounds_every_batch():
    lengths = [3, 9, 1, 9, 4, 30]
    batches = by_length(lengths, 4, batch_tokens=20)
    assert batches == [[5], [1, 3], [4, 0, 2]]  # 30 alone is over the budget and stands by itself
    assert all(len(batch) * max(lengths[row] for row in batch) <= 20 for batch in batches[1:])
