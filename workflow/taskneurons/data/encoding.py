"""From prompts and targets to token ids and padded batches.

The prompt and the target are tokenised so that the target is what follows "prompt + space" in running text, whatever
the tokenizer does at word starts. Padding is always masked by length, never by comparing with the pad token's id.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from taskneurons.config.settings import TokenBudget
from taskneurons.core.errors import UserError

Pair = tuple[list[int], list[int]]  # the token ids of a prompt and of its target


@dataclass(frozen=True)
class Encoded:
    """One example's token ids, and whether its budget cut something off."""

    prompt: list[int]
    target: list[int]
    prompt_truncated: bool
    target_truncated: bool

    @property
    def pair(self) -> Pair:
        """Prompt and target, as batches are made of them."""
        return self.prompt, self.target


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, special: bool) -> list[int]:
    """The token ids of a text; quiet about its length, which the token budgets see to."""
    return tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]


def continuation(tokenizer: PreTrainedTokenizerBase, before: str, text: str) -> list[int]:
    """The token ids of `text` as it continues `before` after a space.

    Raises:
        UserError: the tokenizer merges across that space, so that the two cannot be told apart.
    """
    lead = _ids(tokenizer, before, False)
    whole = _ids(tokenizer, f"{before} {text}", False)
    if whole[: len(lead)] != lead:
        raise UserError(
            f"this tokenizer does not split between {before[-20:]!r} and {text[:20]!r}: end the prompt template "
            "with a colon or another mark that stands by itself"
        )
    return whole[len(lead) :]


def target_ids(tokenizer: PreTrainedTokenizerBase, closing_words: str, text: str) -> list[int]:
    """The token ids of a target or a label word behind a prompt that ends with the closing words."""
    return continuation(tokenizer, closing_words.strip() or ":", text)


def prompt_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """A prompt's token ids with the start token that the tokenizer puts before a text, if it has one."""
    ids = _ids(tokenizer, text, False)
    start = tokenizer.bos_token_id
    with_specials = _ids(tokenizer, "", True)
    return [start, *ids] if start is not None and start in with_specials[:1] else ids


def encode(
    tokenizer: PreTrainedTokenizerBase, prompt: str, target: str, closing_words: str, budget: TokenBudget
) -> Encoded:
    """One example as token ids; the target ends with the end-of-text token unless it had to be cut.

    A prompt over its budget loses the tokens just before its closing words (the fixed text behind the template's last
    column); a target over its budget loses its end.

    Raises:
        UserError: the budgets allow more than the model reads (the tokenizer's model_max_length), or the prompt's is
            too small for the closing words.
    """
    if budget.prompt + budget.target + 1 > tokenizer.model_max_length:
        raise UserError(
            f"data.tokens: a prompt of {budget.prompt} tokens, a target of {budget.target} and the end of text are "
            "more "
            f"than the {tokenizer.model_max_length} that the model reads: lower the budgets"
        )
    ids = prompt_ids(tokenizer, prompt)
    prompt_truncated = len(ids) > budget.prompt
    if prompt_truncated:
        tail = continuation_tail(tokenizer, closing_words)
        if len(tail) >= budget.prompt:
            raise UserError(f"the prompt budget of {budget.prompt} tokens is too small for {closing_words!r} alone")
        ids = ids[: budget.prompt - len(tail)] + tail
    answer = target_ids(tokenizer, closing_words, target)
    target_truncated = len(answer) > budget.target
    answer = answer[: budget.target] if target_truncated else [*answer, tokenizer.eos_token_id]
    return Encoded(ids, answer, prompt_truncated, target_truncated)


def continuation_tail(tokenizer: PreTrainedTokenizerBase, closing_words: str) -> list[int]:
    """The token ids of the closing words as they stand behind another word; none for empty closing words."""
    if not closing_words:
        return []
    lead = _ids(tokenizer, "x", False)
    whole = _ids(tokenizer, f"x{closing_words}", False)
    return whole[len(lead) :]


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float32, or as it is if it is wider: what sums and logarithms are taken of."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


@dataclass(frozen=True)
class Batch:
    """Right-padded examples. N counts the target tokens of the whole batch, row by row, each row from left to right.

    Attributes:
        input_ids, attention_mask: (B, T).
        targets: (N,), the target tokens.
        rows: (N,), the row of each target token.
        predicts: bool (B, T) on the CPU, True where the next token is a target token; N of them.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    targets: torch.Tensor
    rows: torch.Tensor
    predicts: torch.Tensor


def collate(pairs: Sequence[Pair], device: torch.device) -> Batch:
    """Pad (prompt ids, target ids) pairs on the right into one batch.

    An empty prompt is allowed: its first target token then has no position that predicts it, and is left out.
    """
    shape = (len(pairs), max(len(prompt) + len(target) for prompt, target in pairs))
    input_ids, attention = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    predicts = torch.zeros(shape, dtype=torch.bool)
    targets: list[int] = []
    for row, (prompt, target) in enumerate(pairs):
        ids = prompt + target
        first = max(len(prompt), 1)  # the first target token that some position predicts
        input_ids[row, : len(ids)] = torch.tensor(ids)
        attention[row, : len(ids)] = 1
        predicts[row, first - 1 : len(ids) - 1] = True
        targets += ids[first:]
    rows = predicts.nonzero()[:, 0]
    return Batch(
        input_ids.to(device), attention.to(device), torch.tensor(targets).to(device), rows.to(device), predicts
    )


def target_logits(model: nn.Module, batch: Batch) -> torch.Tensor:
    """The logits (N, vocabulary) that predict the target tokens; the head runs at those positions only."""
    return model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        # On the CPU: as an index it fits whatever device the last layer is on.
        logits_to_keep=batch.predicts,
        use_cache=False,
    ).logits


def sample_losses(model: nn.Module, batch: Batch, reduction: str = "mean") -> torch.Tensor:
    """L of each sample, (B,): the mean (or sum) negative log-likelihood of its own target tokens, at least float32."""
    logits = at_least_float32(target_logits(model, batch))
    losses = nn.functional.cross_entropy(logits, batch.targets, reduction="none")  # (N,)
    totals = losses.new_zeros(len(batch.input_ids)).index_add(0, batch.rows, losses)
    return totals if reduction == "sum" else totals / batch.predicts.sum(dim=1).to(totals.device)
