"""What the base model makes of a task's prompts: by it a method tells which task an input is of.

A prompt's features are the mean of the last layer's hidden states over its tokens. A task's are kept as the mean over
its train prompts, and, class by class (a class is a target), as means and as the scatter around them. A task whose
targets hardly repeat, as texts do, is one class.
"""

import math

import torch

from taskneurons.config.settings import Passes
from taskneurons.continual.method import Lesson, State
from taskneurons.generalisation.features import mean_features
from taskneurons.models.loaded import LoadedModel
from taskneurons.models.tensors_file import Tensors

MOST = 1000  # train prompts of a task, as in the paper
MEAN, MEANS, SCATTER, COUNT = "features.mean", "features.means", "features.scatter", "features.count"
LIMIT = "features.limit"  # the squared distance from its own task within which a prompt is of this task
ROUTER = (MEANS, SCATTER, COUNT, LIMIT)  # what choosing a task takes of each
# A limit holds so many percent of the task's prompts, each measured by the statistics of the other parts: distances to
# means and scatter that an example is itself part of are far too small where there are about as many dimensions.
QUANTILE, PARTS = 99, 5
NO_TASK = -1  # in place of a task's number
NONE = "none"  # in place of its key
# The covariance is shrunk by this share towards a multiple of the identity: it may have fewer examples than dimensions.
SHRINKAGE = 0.1


def prompt_features(base: LoadedModel, prompts: list[list[int]]) -> torch.Tensor:
    """The features of prompts, float64 (n, d); the model has to be the base model as it is."""
    # A pair's features are of all its tokens: a prompt's last one takes the place of the target.
    return mean_features(base, [(prompt[:-1], prompt[-1:]) for prompt in prompts], Passes())


def task_features(base: LoadedModel, lesson: Lesson) -> Tensors:
    """The features of a task, as a stage keeps them; to be taken before the training."""
    pairs = lesson.pairs[:MOST]
    features = prompt_features(base, [prompt for prompt, _ in pairs])
    classes = sorted({tuple(target) for _, target in pairs})
    rows = torch.tensor([classes.index(tuple(target)) for _, target in pairs])
    if 2 * len(classes) > len(pairs):
        rows = torch.zeros_like(rows)
    return {MEAN: features.mean(dim=0), **class_statistics(features, rows), LIMIT: own_limit(features, rows)}


def class_statistics(features: torch.Tensor, classes: torch.Tensor) -> Tensors:
    """The means of the classes that occur, the scatter around them, and the number of examples.

    Args:
        features: (n, d).
        classes: (n,), a number for each class.
    """
    present, rows = classes.unique(return_inverse=True)
    means = torch.stack([features[rows == number].mean(dim=0) for number in range(len(present))])
    around = features - means[rows]
    return {MEANS: means, SCATTER: around.T @ around, COUNT: torch.tensor([len(features)])}


def own_limit(features: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The squared distance within which `QUANTILE` % of a task's prompts lie, by its own statistics; a scalar.

    Infinite for an only prompt.

    Args:
        features, classes: as of `class_statistics`.
    """
    if len(features) < 2:
        return torch.tensor(math.inf, dtype=features.dtype)
    parts, distances = torch.arange(len(features)) % min(PARTS, len(features)), []
    for number in parts.unique():
        others = class_statistics(features[parts != number], classes[parts != number])
        distances.append(squared_distances([others], features[parts == number]))
    return torch.cat(distances).quantile(QUANTILE / 100)


def squared_distances(kept: list[Tensors], features: torch.Tensor) -> torch.Tensor:
    """Each input's smallest squared Mahalanobis distance to a class mean of each task: (n, tasks).

    The covariance is that within classes, of all tasks together.
    """
    count = torch.stack([one[COUNT] for one in kept]).sum()
    covariance = torch.stack([one[SCATTER] for one in kept]).sum(dim=0) / count
    size = len(covariance)
    # Not below a tiny number, for tasks whose prompts are all the same.
    spread = (covariance.trace() / size).clamp(min=torch.finfo(covariance.dtype).tiny ** 0.5)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * spread * torch.eye(size).to(covariance)
    whitening = torch.linalg.cholesky(covariance)

    def white(vectors: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve_triangular(whitening, vectors.T, upper=False).T

    inputs = white(features)
    return torch.stack([torch.cdist(inputs, white(one[MEANS])).square().amin(dim=1) for one in kept], dim=1)


def unknown(kept: list[Tensors], features: torch.Tensor) -> torch.Tensor:
    """Whether an input is of no known task: bool (n,).

    It is, where it is further from every task, by the task's own means and covariance, than the task's limit.
    """
    return torch.stack([squared_distances([one], features)[:, 0] > one[LIMIT] for one in kept]).all(dim=0)


def nearest_tasks(kept: list[Tensors], features: torch.Tensor) -> torch.Tensor:
    """The number of the task that each input is nearest to, or `NO_TASK`: int64 (n,)."""
    nearest = squared_distances(kept, features).argmin(dim=1)
    return nearest.masked_fill(unknown(kept, features), NO_TASK)


def routed(state: State, prompts: list[list[int]]) -> list[tuple[list[int], int]]:
    """The prompts in groups of one task: which they are, and the number of the task among those learnt, or `NO_TASK`.

    The model has to be the base model as it is.
    """
    numbers = nearest_tasks(state.kept, prompt_features(state.base, prompts))
    return [((numbers == number).nonzero()[:, 0].tolist(), number) for number in numbers.unique().tolist()]


def similarities(kept: list[Tensors], task: torch.Tensor) -> torch.Tensor:
    """The cosines of a task's mean features with those of each task that was learnt: (tasks,)."""
    means = torch.stack([one[MEAN] for one in kept])
    return torch.nn.functional.cosine_similarity(means, task.unsqueeze(0), dim=1)
