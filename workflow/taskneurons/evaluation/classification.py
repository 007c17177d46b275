"""Classification by the likelihood of the label words."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch

from taskneurons.data.batches import by_length, in_halves
from taskneurons.evaluation.finite import check_finite
from taskneurons.evaluation.left_padding import LeftPadded, left_padded, positions
from taskneurons.models.loaded import LoadedModel


def deeper_beginnings(labels: Sequence[Sequence[int]]) -> list[list[int]]:
    """The fewest beginnings of labels that, put behind a prompt, predict every token of every label but its first.

    A label of m tokens needs its first m − 1 as input. A beginning that another one extends is covered by it; labels of
    one token need none.
    """
    beginnings = sorted({tuple(label[:-1]) for label in labels if len(label) > 1}, key=len, reverse=True)
    kept: list[tuple[int, ...]] = []
    for beginning in beginnings:
        if not any(longer[: len(beginning)] == beginning for longer in kept):
            kept.append(beginning)
    return [list(beginning) for beginning in kept]


@torch.no_grad()
def label_scores(
    loaded: LoadedModel,
    prompts: Sequence[list[int]],
    labels: Sequence[list[int]],
    batch_size: int,
    average: str = "sum",
    task: str = "label scores",
) -> torch.Tensor:
    """Log-probability of every label behind every prompt, (n_prompts, n_labels): summed over its tokens, or their mean.

    Args:
        prompts: token ids of each prompt.
        labels: token ids of each label word, without an end of text.
        average: "sum" or "mean" over the tokens of a label.
        task: whose examples they are, for messages.

    Raises:
        UserError: the model's logits are not finite.
    """
    beginnings = deeper_beginnings(labels)
    scores = torch.zeros(len(prompts), len(labels))

    def scored(rows: list[int]) -> torch.Tensor:
        return _scored(loaded, [prompts[row] for row in rows], labels, beginnings)

    for batch in by_length([len(prompt) for prompt in prompts], batch_size):
        for rows, found in in_halves(batch, scored):
            scores[rows] = found
    check_finite(scores, task)
    if average == "mean":
        scores /= torch.tensor([len(label) for label in labels])
    return scores


def _scored(
    loaded: LoadedModel, prompts: list[list[int]], labels: Sequence[list[int]], beginnings: list[list[int]]
) -> torch.Tensor:
    """Of a batch, (B, n_labels), summed: prompts are read once, then the beginnings behind their cache."""
    read = left_padded(prompts, loaded.compute.device)
    first, cache = _following(loaded, read, None, 1, bool(beginnings))
    scores = first[:, 0, [label[0] for label in labels]]
    for beginning in beginnings:
        longer = read.extended(beginning)
        # A pass adds its tokens to the cache that it is given.
        table, _ = _following(loaded, longer, deepcopy(cache), len(beginning), True)
        for number, label in enumerate(labels):
            if len(label) > 1 and beginning[: len(label) - 1] == label[:-1]:
                scores[:, number] += table[:, torch.arange(len(label) - 1), torch.tensor(label[1:])].sum(dim=1)
    return scores


def _following(loaded: LoadedModel, read: LeftPadded, cache: Any, last: int, keep: bool) -> tuple[torch.Tensor, Any]:
    """The log-probabilities of what follows each of the last tokens, (B, last, V), and the cache with these tokens.

    Args:
        cache: of all tokens before them; None where nothing is read yet.
        keep: whether a cache is wanted.
    """
    new = read.input_ids if cache is None else read.input_ids[:, -last:]
    with loaded.compute.autocast():
        output = loaded.model(
            **positions(loaded.model, read.attention_mask, new.shape[1]),
            input_ids=new,
            attention_mask=read.attention_mask,
            past_key_values=cache,
            logits_to_keep=last,
            use_cache=keep,
        )
    return torch.log_softmax(output.logits.float(), dim=-1).cpu(), output.past_key_values
