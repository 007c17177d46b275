"""Classification by the likelihood of the label words."""

from collections.abc import Sequence

import torch

from taskneurons.data.batches import by_length, in_halves
from taskneurons.data.encoding import collate, target_logits
from taskneurons.evaluation.finite import check_finite
from taskneurons.models.loaded import LoadedModel


def shared_inputs(labels: Sequence[Sequence[int]]) -> list[list[int]]:
    """The fewest label beginnings whose forward passes predict every token of every label.

    Scoring a label of m tokens needs the prompt with its first m − 1 tokens as input. A beginning that another one
    extends is covered by it; so one-token labels all share the bare prompt.
    """
    beginnings = sorted({tuple(label[:-1]) for label in labels}, key=len, reverse=True)
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
    inputs = shared_inputs(labels)
    rows = [(index, beginning) for index in range(len(prompts)) for beginning in inputs]
    scores = torch.zeros(len(prompts), len(labels))

    def predicted(group: list[int]) -> tuple[torch.Tensor, ...]:
        # The last token of each target is never looked at as an input: any token serves as the place to predict.
        batch = collate([(prompts[rows[at][0]], [*rows[at][1], 0]) for at in group], loaded.compute.device)
        with loaded.compute.autocast():
            logits = target_logits(loaded.model, batch)
        log_probabilities = torch.log_softmax(logits.float(), dim=-1).cpu()  # (N, V)
        return log_probabilities.split(batch.predicts.sum(dim=1).tolist())  # one a row, (its targets, V)

    lengths = [len(prompts[index]) + len(beginning) for index, beginning in rows]
    for batch in by_length(lengths, batch_size):
        for group, tables in in_halves(batch, predicted):
            for at, table in zip(group, tables, strict=True):
                index, beginning = rows[at]
                for number, label in enumerate(labels):
                    if beginning[: len(label) - 1] == label[:-1]:
                        scores[index, number] = table[torch.arange(len(label)), torch.tensor(label)].sum()
    check_finite(scores, task)
    if average == "mean":
        scores /= torch.tensor([len(label) for label in labels])
    return scores
