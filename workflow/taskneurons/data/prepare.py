"""Prepare one split of one task's data: render prompts and targets.

The splits are train, attribution, validation and test; each is a Parquet file, one row an example: id, prompt, target
(the label word in classification), references. No prompt is in two splits. A file's provenance
holds what later steps need of the task: its label words, its metric, its token budgets and its prompt's closing words.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from taskneurons.config.settings import PreparedTask, StepSettings, TokenBudget
from taskneurons.core.artifacts import write_frame
from taskneurons.core.content import content_hash
from taskneurons.core.errors import UserError
from taskneurons.data.suite.generator import draw_split
from taskneurons.data.templates import closing_words, needed_columns, template_fields

SHARE_OF_FEW = 0.9

log = logging.getLogger(__name__)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()


def _texts(value: Any) -> list[str]:
    return [str(item).strip() for item in value] if isinstance(value, list) else [str(value).strip()]


def render(row: dict[str, Any], task: PreparedTask) -> dict[str, Any]:
    """One source row as an example: prompt, target, references.

    Raises:
        UserError: the target is not one of the labels, or is empty.
    """
    prompt = task.prompt.format_map({field: _text(row[field]) for field in template_fields(task.prompt)})
    targets = _texts(row[task.target])
    if not task.labels:
        column = task.source.references
        references = _texts(row[column]) if column else targets
        if not targets or not targets[0]:
            raise UserError(f"the column {task.target!r} is empty in a row whose prompt is {prompt[:80]!r}")
        return {"prompt": prompt, "target": targets[0], "references": references}
    if targets[0] not in task.labels:
        raise UserError(
            f"the column {task.target!r} holds {targets[0]!r}, which is not among the task's labels "
            f"({', '.join(task.labels)})"
        )
    word = task.labels[targets[0]]
    return {"prompt": prompt, "target": word, "references": [word]}


def merge_equal_prompts(
    examples: Iterator[dict[str, Any]], size: int, taken: set[str], all_references: bool = False
) -> list[dict[str, Any]]:
    """The first `size` examples with different prompts that are not in `taken`, which they join.

    An example whose prompt was kept already only adds its references to it; with `all_references` the rest of the
    source is searched for those too.
    """
    kept: dict[str, dict[str, Any]] = {}
    for example in examples:
        if len(kept) == size and not all_references:
            break
        prompt = example["prompt"]
        if prompt in kept:
            known = kept[prompt]["references"]
            known += [text for text in example["references"] if text not in known]
        elif prompt not in taken and len(kept) < size:
            kept[prompt] = example
    taken.update(kept)
    return list(kept.values())


def suite_examples(task: PreparedTask, split: str, sizes: dict[str, int], seed: int) -> list[dict[str, Any]]:
    """One split of a task of the embedded suite, which draws each split by itself."""
    assert task.source.suite is not None
    return [render(dict(row), task) for row in draw_split(task.source.suite, split, sizes[split], seed)]


def source_examples(task: PreparedTask, split: str, sizes: dict[str, int], seed: int) -> list[dict[str, Any]]:
    """One split of a hub or local task.

    The splits are filled in the order of `SOURCE_SPLITS`, and each takes only prompts that no earlier one has; so the
    size of a later split changes nothing in an earlier one. Attribution examples are the rows of the source's train
    split that follow the training ones; where too few are left there, its validation split fills up. A source whose
    train split holds fewer than are asked for trains on SHARE_OF_FEW of them and leaves the rest for attribution.
    """
    from taskneurons.data.sources import shuffled_rows  # takes seconds to import, and the suite needs none of it

    columns = needed_columns(task)
    taken: set[str] = set()

    def take(of: str, size: int) -> list[dict[str, Any]]:
        examples = (render(row, task) for row in shuffled_rows(task.source, of, columns, seed))
        return merge_equal_prompts(examples, size, taken, all_references=of == "test" and not task.labels)

    train = take("train", sizes["train"])
    few = len(train) < sizes["train"]
    if few:
        train = train[: max(1, int(len(train) * SHARE_OF_FEW))]
        taken = {example["prompt"] for example in train}
    if split == "train":
        return train
    attribution = take("train", sizes["attribution"])
    if not few or not attribution:
        attribution += take("validation", sizes["attribution"] - len(attribution))
    if split == "attribution":
        return attribution
    test = take("test", sizes["test"])
    return test if split == "test" else take("validation", sizes["validation"])


class PrepareSettings(StepSettings):
    """What one split of a task's data depends on; `sizes` are those of the split and of the ones filled before it."""

    key: str
    split: Literal["train", "attribution", "validation", "test"]
    task: PreparedTask
    sizes: dict[str, int]
    tokens: TokenBudget
    seed: int


def main(settings: PrepareSettings, *, sources: list[Path], data: Path) -> None:
    """Write one split of a task.

    Args:
        sources: the local files that it is read from; they are found by the task's own source.
        data: the file to write.

    Raises:
        UserError: the split is empty, or a row does not fit the task.
    """
    task, sizes, split = settings.task, settings.sizes, settings.split
    make = suite_examples if task.source.suite is not None else source_examples
    try:
        examples = make(task, split, sizes, settings.seed)
    except UserError as problem:
        raise UserError(f"{settings.key}: {problem}") from problem
    if not examples:
        raise UserError(
            f"the split {split!r} of {settings.key!r} is empty: the splits before it (train, attribution, test) have "
            "taken all different prompts of its source: lower their data.sizes"
        )
    if len(examples) < sizes[split]:
        log.warning(
            "%s: %d %s examples, %d were asked for: the source has no more (equal prompts count once, in the first "
            "split that takes them; of few train rows 90 %% train, and the rest is for attribution)",
            *(settings.key, len(examples), split, sizes[split]),
        )
    frame = pd.DataFrame({"id": range(len(examples))}).join(pd.DataFrame(examples))
    provenance = {
        "spec": settings.spec(),
        "task": settings.key,
        "split": split,
        "labels": list((task.labels or {}).values()),
        "metric": task.metric,
        "tokens": settings.tokens.model_dump(),
        "closing_words": closing_words(task.prompt),
        "data_hash": content_hash(examples),
    }
    write_frame(data, frame, "task data", provenance)
