"""Prepare one split of one task's data: render prompts and targets.

The splits are train, attribution, validation and test; each is a Parquet file, one row an example: id, prompt, target
(the label word in classification), references. No prompt is in two splits. A file's provenance
holds what later steps need of the task: its label words, its metric, its token budgets and its prompt's closing words;
and how many rows were lost, and to what.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from taskneurons.config.settings import PreparedTask, StepSettings, TokenBudget
from taskneurons.core.artifacts import write_frame
from taskneurons.core.content import content_hash
from taskneurons.core.errors import UserError
from taskneurons.data.sources import is_null, shuffled_rows
from taskneurons.data.splits import SOURCE_SPLITS
from taskneurons.data.suite.generator import draw_split
from taskneurons.data.templates import closing_words, filled, needed_columns, template_fields

SHARE_OF_FEW = 0.9
# What a row can be lost to: an equal prompt in its own split, an equal prompt in an earlier split, a null.
LOSSES = ("duplicates", "overlap", "nulls")

Example = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Filled:
    """A split as it was filled.

    Attributes:
        examples: prompt, target and references of each.
        lost: LOSSES → rows. Only rows that were looked at before the split was full count, and each in the first
            split that looks at it.
    """

    examples: list[Example]
    lost: dict[str, int]

    def __add__(self, other: "Filled") -> "Filled":
        lost = {name: count + other.lost[name] for name, count in self.lost.items()}
        return Filled(self.examples + other.examples, lost)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()


def _texts(value: Any) -> list[str]:
    return [str(item).strip() for item in value] if isinstance(value, list) else [str(value).strip()]


def render(row: dict[str, Any], task: PreparedTask) -> Example:
    """One source row as an example: prompt, target, references.

    Raises:
        UserError: the target is not one of the labels, or it or all references are empty.
    """
    prompt = filled(task.prompt, {field: _text(row[field]) for field in template_fields(task.prompt)})
    targets = _texts(row[task.target])
    if not task.labels:
        column = task.source.references
        references = _texts(row[column]) if column else targets
        if not targets or not targets[0]:
            raise UserError(f"the column {task.target!r} is empty in a row whose prompt is {prompt[:80]!r}")
        if not any(references):
            raise UserError(f"the column {column!r} is empty in a row whose prompt is {prompt[:80]!r}")
        return {"prompt": prompt, "target": targets[0], "references": references}
    if len(targets) != 1:
        raise UserError(f"the column {task.target!r} holds a list of {len(targets)}, where one label is needed")
    if targets[0] not in task.labels:
        raise UserError(
            f"the column {task.target!r} holds {targets[0]!r}, which is not among the task's labels "
            f"({', '.join(task.labels)})"
        )
    word = task.labels[targets[0]]
    return {"prompt": prompt, "target": word, "references": [word]}


def null_column(row: dict[str, Any], task: PreparedTask) -> str | None:
    """The first column of a row that holds a null, or no answer at all; None where all are there."""
    answers = (task.target, task.source.references)
    return next((name for name, value in row.items() if is_null(value) or (value == [] and name in answers)), None)


def example_of(place: str, row: dict[str, Any], task: PreparedTask) -> Example | None:
    """A source row as an example; None where a null is skipped.

    Raises:
        UserError: the row holds a null that is not to be skipped, or does not fit the task.
    """
    column = null_column(row, task)
    if column is None:
        try:
            return render(row, task)
        except UserError as problem:
            raise UserError(f"{place}: {problem}") from problem
    if task.nulls == "error":
        raise UserError(
            f"{place}: the column {column!r} holds a null or nothing: mend the data, or write nulls: skip in the "
            "task's entry, which skips and counts such rows"
        )
    return None


def merge_equal_prompts(
    examples: Iterable[tuple[str, Example | None]],
    size: int,
    taken: set[str],
    seen: set[str],
    all_references: bool = False,
) -> Filled:
    """The first `size` examples with different prompts that are not in `taken`, which they join.

    An example whose prompt was kept already only adds its references to it; with `all_references` the rest of the
    source is searched for those too.

    Args:
        examples: with their places; None for a row that was skipped.
        seen: the places that earlier splits looked at, which these join.
    """
    kept: dict[str, Example] = {}
    lost = dict.fromkeys(LOSSES, 0)
    for place, example in examples:
        full = len(kept) == size
        prompt = None if example is None else example["prompt"]
        reason = "nulls" if prompt is None else "duplicates" if prompt in kept else "overlap" if prompt in taken else ""
        if example is not None and reason == "duplicates":
            known = kept[example["prompt"]]["references"]
            known += [text for text in example["references"] if text not in known]
        elif example is not None and not reason and not full:
            kept[example["prompt"]] = example
        if not full:
            if reason and place not in seen:
                lost[reason] += 1
            seen.add(place)
        if len(kept) == size and not all_references:
            break
    taken.update(kept)
    return Filled(list(kept.values()), lost)


def suite_examples(task: PreparedTask, split: str, sizes: dict[str, int], seed: int) -> Filled:
    """One split of a task of the embedded suite, which draws each split by itself and loses nothing."""
    assert task.source.suite is not None
    examples = [render(dict(row), task) for row in draw_split(task.source.suite, split, sizes[split], seed)]
    return Filled(examples, dict.fromkeys(LOSSES, 0))


def source_examples(task: PreparedTask, split: str, sizes: dict[str, int], seed: int) -> Filled:
    """One split of a hub or local task.

    The splits are filled in the order of `SOURCE_SPLITS`, and each takes only prompts that no earlier one has; so the
    size of a later split changes nothing in an earlier one. Attribution examples are the rows of the source's train
    split that follow the training ones; where too few are left there, its validation split fills up. A source whose
    train split holds fewer than are asked for trains on SHARE_OF_FEW of them and leaves the rest for attribution.
    """
    columns = needed_columns(task)
    taken: set[str] = set()
    seen: set[str] = set()

    def take(of: str, size: int) -> Filled:
        rows = shuffled_rows(task.source, of, columns, seed)
        examples = ((place, example_of(place, row, task)) for place, row in rows)
        all_references = of == "test" and not task.labels
        return merge_equal_prompts(examples, size, taken, seen, all_references)

    train = take("train", sizes["train"])
    few = len(train.examples) < sizes["train"]
    if few:
        count = max(1, int(len(train.examples) * SHARE_OF_FEW))
        train = Filled(train.examples[:count], train.lost)
        taken = {example["prompt"] for example in train.examples}
    if split == "train":
        return train
    attribution = take("train", sizes["attribution"])
    missing = sizes["attribution"] - len(attribution.examples)
    if missing and (not few or not attribution.examples):
        attribution += take("validation", missing)
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
        made = make(task, split, sizes, settings.seed)
    except (UserError, OSError) as problem:
        raise UserError(f"{settings.key}: {problem}") from problem
    examples = made.examples
    losses = ", ".join(f"{count} {name}" for name, count in made.lost.items())
    if not examples:
        raise UserError(
            f"the split {split!r} of {settings.key!r} is empty: its source has no usable row that no split before it "
            f"has taken (they are filled in the order {', '.join(SOURCE_SPLITS)}): lower the data.sizes of those "
            f"before it, or give more data (rows lost here: {losses})"
        )
    log.info("%s: %s: %d examples; of the rows looked at were lost: %s", settings.key, split, len(examples), losses)
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
        "lost": made.lost,
    }
    write_frame(data, frame, "task data", provenance)
