"""Prepare one split of one task's data: render prompts and targets.

The splits are train, attribution, validation and test; each is a Parquet file, one row an example: id, prompt, target,
label (the index of the label word, null for generation), references. No prompt is in two splits. A file's metadata
hold what later steps need of the task: its label words, its metric, its token budgets and its prompt's closing words.
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from taskneurons import command
from taskneurons.artifacts import content_hash, write_frame
from taskneurons.errors import UserError
from taskneurons.splits import SOURCE_SPLITS
from taskneurons.suite.generator import draw_split
from taskneurons.templates import closing_words, needed_columns, template_fields

log = logging.getLogger(__name__)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()


def _texts(value: Any) -> list[str]:
    return [str(item).strip() for item in value] if isinstance(value, list) else [str(value).strip()]


def render(row: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """One source row as an example: prompt, target, label, references.

    Args:
        row: the source's columns.
        task: the task's source, prompt, target and labels.

    Raises:
        UserError: the target is not one of the labels, or is empty.
    """
    prompt = task["prompt"].format_map({field: _text(row[field]) for field in template_fields(task["prompt"])})
    targets = _texts(row[task["target"]])
    labels = task.get("labels")
    if not labels:
        column = task["source"].get("references")
        references = _texts(row[column]) if column else targets
        if not targets or not targets[0]:
            raise UserError(f"the column {task['target']!r} is empty in a row whose prompt is {prompt[:80]!r}")
        return {"prompt": prompt, "target": targets[0], "label": None, "references": references}
    if targets[0] not in labels:
        raise UserError(
            f"the column {task['target']!r} holds {targets[0]!r}, which is not among the task's labels "
            f"({', '.join(labels)})"
        )
    word = labels[targets[0]]
    return {"prompt": prompt, "target": word, "label": list(labels.values()).index(word), "references": [word]}


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


def suite_examples(task: dict[str, Any], split: str, sizes: dict[str, int], seed: int) -> list[dict[str, Any]]:
    """One split of a task of the embedded suite, which draws each split by itself."""
    return [render(dict(row), task) for row in draw_split(task["source"]["suite"], split, sizes[split], seed)]


def source_examples(task: dict[str, Any], split: str, sizes: dict[str, int], seed: int) -> list[dict[str, Any]]:
    """One split of a hub or local task.

    The splits are filled in the order of `SOURCE_SPLITS`, and each takes only prompts that no earlier one has; so the
    size of a later split changes nothing in an earlier one. Attribution examples are the rows of the source's train
    split that follow the training ones; where too few are left there, its validation split fills up.
    """
    from taskneurons.task_data import shuffled_rows  # takes seconds to import, and the suite needs none of it

    source = task["source"]
    columns = needed_columns(task)
    taken: set[str] = set()

    def take(of: str, size: int) -> list[dict[str, Any]]:
        examples = (render(row, task) for row in shuffled_rows(source, source["splits"][of], columns, seed))
        return merge_equal_prompts(examples, size, taken, all_references=of == "test" and not task["labels"])

    train = take("train", sizes["train"])
    if split == "train":
        return train
    attribution = take("train", sizes["attribution"])
    attribution += take("validation", sizes["attribution"] - len(attribution))
    if split == "attribution":
        return attribution
    test = take("test", sizes["test"])
    return test if split == "test" else take("validation", sizes["validation"])


def prepare(spec: dict[str, Any], split: str, out: Path) -> None:
    """Write one split of the task in `spec` (keys: key, task, sizes, tokens, seed).

    Raises:
        UserError: the split is empty, or a row does not fit the task.
    """
    task, sizes = spec["task"], spec["sizes"]
    make = suite_examples if "suite" in task["source"] else source_examples
    try:
        examples = make(task, split, sizes, spec["seed"])
    except UserError as problem:
        raise UserError(f"{spec['key']}: {problem}") from problem
    if not examples:
        raise UserError(f"the split {split!r} of {spec['key']!r} is empty: its source has no rows left for it")
    if len(examples) < sizes[split]:
        log.warning(
            "%s: %d %s examples, %d were asked for (equal prompts count once, in the first split that takes them)",
            *(spec["key"], len(examples), split, sizes[split]),
        )
    frame = pd.DataFrame({"id": range(len(examples))}).join(pd.DataFrame(examples))
    frame["label"] = frame["label"].astype("Int64")
    metadata = {
        "spec": spec,
        "task": spec["key"],
        "split": split,
        "labels": list((task["labels"] or {}).values()),
        "metric": task["metric"],
        "tokens": spec["tokens"],
        "closing_words": closing_words(task["prompt"]),
        "data_hash": content_hash(examples),
    }
    write_frame(out, frame, "task data", metadata)


def main(arguments: argparse.Namespace) -> None:
    prepare(arguments.spec, arguments.split, arguments.out)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--split", choices=SOURCE_SPLITS, required=True, help="the split to prepare")
    options.add_argument("--out", type=Path, required=True, help="write the examples here (Parquet)")
    command.run(main, options)
