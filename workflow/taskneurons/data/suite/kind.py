"""What every task of the embedded suite is made of."""

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
        plain: the plain sentences in which the pre-training text tells an example, worded unlike any prompt.
    """

    name: str
    columns: tuple[str, ...]
    answer: str
    labels: tuple[str, ...]
    draw: Callable[[Random, str], Fields]
    plain: Callable[[Fields], str]


def two(rng: Random, words: tuple[str, ...]) -> tuple[str, str]:
    """Two different words in random order."""
    first, second = rng.sample(words, 2)
    return first, second


def couple(rng: Random, couples: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """One of the couples, in random order.

    Where a task asks who did what to whom, its participants come from fixed couples: a small model then learns within
    minutes which of the two is meant, where any two names would take it far longer.
    """
    return two(rng, rng.choice(couples))
