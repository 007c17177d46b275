"""Greedy generation in left-padded batches, and ROUGE-L."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import LogitsProcessor

from taskneurons.data.batches import by_length, in_halves
from taskneurons.evaluation.finite import check_finite
from taskneurons.evaluation.left_padding import left_padded
from taskneurons.models.loaded import LoadedModel


class _FiniteLogits(LogitsProcessor):
    """Looks at the logits of every next token, and changes none."""

    def __init__(self, task: str) -> None:
        self.task = task

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        check_finite(scores.amax(dim=-1), self.task)  # NaN where one is; a token may be ruled out by minus infinity
        return scores


@torch.no_grad()
def generate(
    loaded: LoadedModel,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    batch_size: int,
    task: str = "generation",
) -> list[str]:
    """The greedy continuation of every prompt, up to the end of text or `max_new_tokens`.

    Args:
        prompts: token ids of each prompt.
        task: whose examples they are, for messages.

    Raises:
        UserError: the model's logits are not finite.
    """
    end = loaded.tokenizer.eos_token_id
    texts = [""] * len(prompts)

    def continued(rows: list[int]) -> list[list[int]]:
        read = left_padded([prompts[row] for row in rows], loaded.compute.device)
        with loaded.compute.autocast():
            # Every setting that decides the output is given here: a model's own generation_config must not.
            output = cast(Any, loaded.model).generate(
                input_ids=read.input_ids,
                attention_mask=read.attention_mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
                repetition_penalty=1.0,
                temperature=None,
                top_p=None,
                top_k=None,
                eos_token_id=end,
                pad_token_id=end,
                logits_processor=[_FiniteLogits(task)],
            )
        return output[:, read.input_ids.shape[1] :].tolist()

    for batch in by_length([len(prompt) for prompt in prompts], batch_size):
        for rows, output in in_halves(batch, continued):
            for row, new in zip(rows, output, strict=True):
                answer = new[: new.index(end)] if end in new else new
                texts[row] = str(loaded.tokenizer.decode(answer, skip_special_tokens=True)).strip()
    return texts


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """ROUGE-L F1, 0 to 1, without stemming; the maximum over the references."""
    return _SCORER.score_multi(references, prediction)["rougeL"].fmeasure


_SCORER = RougeScorer(["rougeL"], use_stemmer=False)
