"""Draws the splits of the embedded suite's tasks and the pre-training text, all from one seed.

Every example belongs to exactly one split, whatever the sizes of the splits: the split follows from a hash of the
example's input text. So no input is in two splits, and changing one split's size changes no other split.
"""

import hashlib
from random import Random

from taskneurons.data.suite import continual, data_to_text, inference, paraphrase, questions, sentiment, summaries
from taskneurons.data.suite.kind import Fields, SuiteTask
from taskneurons.data.suite.words import HEADINGS

SUITE: dict[str, SuiteTask] = {
    task.name: task
    for family in (sentiment, paraphrase, inference, questions, data_to_text, summaries, continual)
    for task in family.TASKS
}

# Share of all possible inputs that belongs to each split, in percent.
SPLIT_SHARES = {"pretraining": 30, "train": 40, "validation": 10, "attribution": 10, "test": 10}

# A split that cannot be filled is noticed after this many fruitless draws in a row.
MAX_FRUITLESS_DRAWS = 10_000


def input_key(task: SuiteTask, fields: Fields) -> str:
    """The input text of an example: all its columns but the answer."""
    return " | ".join(fields[column] for column in task.columns)


def split_of(key: str) -> str:
    """The split that an input belongs to, by a hash of its text."""
    percent = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) % 100
    for split, share in SPLIT_SHARES.items():
        if percent < share:
            return split
        percent -= share
    raise AssertionError("the split shares do not add up to 100")


def draw_split(name: str, split: str, size: int, seed: int) -> list[Fields]:
    """`size` different examples of one split of one task; the labels take turns, so they are balanced to within one.

    Raises:
        ValueError: the task's templates do not have that many different inputs in this split.
    """
    task = SUITE[name]
    rng = Random(f"{seed}/{name}/{split}")
    examples: list[Fields] = []
    seen: set[str] = set()
    fruitless = 0
    while len(examples) < size:
        label = task.labels[len(examples) % len(task.labels)] if task.labels else ""
        fields = task.draw(rng, label)
        key = input_key(task, fields)
        if key in seen or split_of(key) != split:
            fruitless += 1
            if fruitless > MAX_FRUITLESS_DRAWS:
                raise ValueError(
                    f"the suite's task {name!r} has only {len(examples)} different examples for the split "
                    f"{split!r}, but {size} were asked for: ask for fewer"
                )
            continue
        fruitless = 0
        seen.add(key)
        examples.append(fields)
    rng.shuffle(examples)
    return examples


def pretraining_text(names: list[str], documents_per_task: int, seed: int) -> list[str]:
    """The pre-training documents: examples of the pre-training split in plain sentences, tasks in turn, and at the
    end one that lists the words that may head the parts of a prompt. Tasks without plain sentences are left out."""
    columns = [
        [plain(fields) for fields in draw_split(name, "pretraining", documents_per_task, seed)]
        for name in names
        if (plain := SUITE[name].plain) is not None
    ]
    return [*(document for turn in zip(*columns, strict=True) for document in turn), " ".join(HEADINGS)]
