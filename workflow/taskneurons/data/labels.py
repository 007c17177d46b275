"""The label words of a classification task as tokens."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from taskneurons.core.errors import UserError
from taskneurons.data.encoding import target_ids
from taskneurons.data.task import Task


def check_labels(words: Sequence[str], labels: Sequence[Sequence[int]]) -> None:
    """Raise a UserError if one label's tokens begin another's: the shorter would always be likelier."""
    for word, label in zip(words, labels, strict=True):
        for other, tokens in zip(words, labels, strict=True):
            if word != other and list(tokens[: len(label)]) == list(label):
                raise UserError(f"the label {word!r} begins the label {other!r}: choose words that differ earlier")


def label_tokens(tokenizer: PreTrainedTokenizerBase, task: Task) -> list[list[int]]:
    """The token ids of a task's label words behind its prompts, checked; none for a generation task."""
    labels = [target_ids(tokenizer, task.closing_words, word) for word in task.label_words]
    check_labels(task.label_words, labels)
    return labels
