"""Which of the tasks learnt an input is of, by the base model's features: weights of tasks, in few groups of inputs.

The weights are the posterior of a Gaussian classifier whose classes, those of all tasks, share a covariance: the
softmax over tasks of −d²/2 divided by a temperature, d the Mahalanobis distance to the task's nearest mean. The two
largest, scaled to add up to 1 and rounded to quarters, answer an input: an input of a task that stands apart is
answered by that task alone, one of two tasks that look alike by both. So the answering models are few.

An input that is beyond the reach of every task, measured by that task's own covariance, is of none of them.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from taskneurons.continual.features import REACH, prompt_features, squared_distances
from taskneurons.continual.method import Answering, State
from taskneurons.models.tensors_file import Tensors

NONE = "none"
PARTS = 4  # weights are multiples of 1/PARTS


@dataclass(frozen=True)
class Group:
    """Inputs that the same tasks answer.

    Attributes:
        rows: which inputs.
        weights: task → its weight, the nearest first; they add up to 1. Empty where no task answers.
        routed: the nearest task, or "none".
    """

    rows: list[int]
    weights: dict[str, float]
    routed: str


def posterior(kept: list[Tensors], features: torch.Tensor, temperature: float) -> torch.Tensor:
    """The weight of each task for each input, (n, tasks): softmax of −d²/(2·temperature)."""
    return (squared_distances(kept, features) / (-2 * temperature)).softmax(dim=1)


def known(kept: list[Tensors], features: torch.Tensor) -> torch.Tensor:
    """Whether an input is within the reach of some task: bool (n,)."""
    # A reach is a distance by its task's covariance alone, for the other tasks need not be known where it is made.
    return torch.cat([squared_distances([one], features) <= one[REACH] for one in kept], dim=1).any(dim=1)


def nearest_tasks(state: State, prompts: list[list[int]]) -> list[tuple[list[int], int | None]]:
    """The prompts in groups of one task, the nearest: which they are, and its number; None where no task reaches them.

    The model has to be the base model as it is.
    """
    features = prompt_features(state.base, prompts)
    numbers = squared_distances(state.kept, features).argmin(dim=1)
    of_none = ~known(state.kept, features)
    found: list[tuple[list[int], int | None]] = [
        (((numbers == number) & ~of_none).nonzero()[:, 0].tolist(), number) for number in range(len(state.kept))
    ]
    found.append((of_none.nonzero()[:, 0].tolist(), None))
    return [(rows, number) for rows, number in found if rows]


def answering_nearest(
    state: State, prompts: list[list[int]], put: Callable[[Tensors], AbstractContextManager[Any]]
) -> Answering:
    """Each prompt is answered with what was kept of its nearest task, and by the base model where none reaches it.

    Args:
        put: runs a block with what a task's stage kept in the model.
    """
    for rows, number in nearest_tasks(state, prompts):
        if number is None:
            yield rows, NONE
        else:
            with put(state.kept[number]):
                yield rows, state.tasks[number]


def rounded(tasks: list[str], weights: torch.Tensor) -> dict[str, float]:
    """The weights, (tasks,), with which an input is answered, as in `Group`."""
    if len(tasks) == 1:
        return {tasks[0]: 1.0}
    largest, which = weights.topk(2)
    nearest, second = (tasks[number] for number in which.tolist())
    part = round((largest[0] / largest.sum()).item() * PARTS) / PARTS
    return {nearest: part, second: 1 - part} if part < 1 else {nearest: part}


def groups(kept: dict[str, Tensors], features: torch.Tensor, temperature: float) -> list[Group]:
    """The groups of inputs that the same tasks answer.

    Args:
        kept: task → its features, as `task_features` gives them.
        features: (n, d), of the inputs.
        temperature: above 0; the lower, the fewer inputs are answered by two tasks.
    """
    of_tasks = list(kept.values())
    rows: dict[tuple[tuple[str, float], ...], list[int]] = {}
    weighted = zip(known(of_tasks, features).tolist(), posterior(of_tasks, features, temperature), strict=True)
    for row, (is_known, weights) in enumerate(weighted):
        answering = rounded(list(kept), weights) if is_known else {}
        rows.setdefault(tuple(answering.items()), []).append(row)
    return [Group(found, dict(shares), shares[0][0] if shares else NONE) for shares, found in rows.items()]
