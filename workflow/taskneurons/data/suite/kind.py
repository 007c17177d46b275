"""What every task of the embedded suite is made of."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Fields = dict[str, str]


@dataclass(frozen=True)
class SuiteTask:
    """One task that the suite can draw examples of.

    Attributes:
        name: the name under which a config's `source: {suite: name}` finds it.
        columns: the input columns of an example, in reading order.
        answer: the column that holds the answer (a label or a free text).
        labels: the label words of a classification task, none for a generation task.
        draw: `draw(rng, label)` returns the columns of one random example; for a classification
            task the example has that label by construction, for a generation task `label` is empty.
        plain: the document in which the pre-training text tells an example; never a prompt with its target. None for a
            task that the pre-training text leaves out.
    """

    name: str
    columns: tuple[str, ...]
    answer: str
    labels: tuple[str, ...]
    draw: Callable[[Random, str], Fields]
    plain: Callable[[Fields], str] | None = None


def two(rng: Random, words: tuple[str, ...]) -> tuple[str, str]:
    """Two different words in random order."""
    first, second = rng.sample(words, 2)
    return first, second


# Headings of the parts of a pre-training document: for each of its three parts.
DOCUMENT_HEADINGS = (
    ("story", "answer", "verdict"),
    ("report", "reply", "opinion"),
    ("premise", "claim", "meaning"),
    ("match", "query", "summary"),
)


def headed(first: str, second: str, conclusion: str) -> str:
    """Two texts and what follows from them, under headings that a hash of the texts draws.

    A model that has read such documents takes headings as mere headings.
    """
    drawn = hashlib.blake2b(f"{first}{second}".encode(), digest_size=1).digest()[0] % len(DOCUMENT_HEADINGS)
    one, other, last = DOCUMENT_HEADINGS[drawn]
    return f"{one} : {first} {other} : {second} {last} : {conclusion}"
