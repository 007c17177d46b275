"""A task's prepared examples, as the steps after data preparation read them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from taskneurons.config.settings import TokenBudget
from taskneurons.core.artifacts import read_frame
from taskneurons.data.encoding import Encoded, encode


@dataclass(frozen=True)
class Task:
    """One split of one task.

    Attributes:
        key: the task's key in the config.
        split: train, attribution, validation or test.
        prompts, targets, references: one entry an example; references is a list of texts each.
        label_words: the words of a classification task, in the order of its labels; empty for generation.
        metric: "accuracy" or "rougeL".
        budget: the token budgets of prompts and targets.
        closing_words: the fixed text behind the prompt template's last column.
        data_hash: content hash of the split.
        lost: duplicates, overlap (with earlier splits) and nulls → source rows that are no examples for it.
    """

    key: str
    split: str
    prompts: list[str]
    targets: list[str]
    references: list[list[str]]
    label_words: list[str]
    metric: str
    budget: TokenBudget
    closing_words: str
    data_hash: str
    lost: dict[str, int]

    def __len__(self) -> int:
        return len(self.prompts)

    def encoded(self, tokenizer: PreTrainedTokenizerBase) -> list[Encoded]:
        """The examples as token ids."""
        return [
            encode(tokenizer, prompt, target, self.closing_words, self.budget)
            for prompt, target in zip(self.prompts, self.targets, strict=True)
        ]


def read_task(path: str | Path) -> Task:
    """Read one split of a task; raises UserError as `read_frame` does."""
    frame, provenance = read_frame(path, "task data")
    fields: dict[str, Any] = {
        "key": provenance["task"],
        "split": provenance["split"],
        "prompts": frame["prompt"].tolist(),
        "targets": frame["target"].tolist(),
        "references": [list(texts) for texts in frame["references"]],
        "label_words": provenance["labels"],
        "metric": provenance["metric"],
        "budget": TokenBudget(**provenance["tokens"]),
        "closing_words": provenance["closing_words"],
        "data_hash": provenance["data_hash"],
        "lost": provenance["lost"],
    }
    return Task(**fields)
