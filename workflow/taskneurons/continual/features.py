"""What the base model makes of a task's prompts: by it a method tells which task an input is of.

A prompt's features are the mean of the last layer's hidden states over its tokens. A task's are kept as the mean over
its train prompts, and as means and as the scatter around them, class by class (a class is a target) or of the task as
one class; with how far from them a prompt of the task may lie. A task whose targets hardly repeat, as texts do, is one
class too.
"""

import torch

from taskneurons.config.settings import Passes
from taskneurons.continual.method import Lesson, State
from taskneurons.generalisation.features import mean_features
from taskneurons.models.loaded import LoadedModel
from taskneurons.models.tensors_file import Tensors

MOST = 1000  # train prompts of a task, as in the paper
MEAN, MEANS, SCATTER, COUNT = "features.mean", "features.means", "features.scatter", "features.count"
REACH = "features.reach"
ROUTER = (MEANS, SCATTER, COUNT, REACH)  # what choosing a task takes of each
FOLDS, QUANTILE = 5, 0.99  # of the reach
# The covariance is shrunk by this share towards a multiple of the identity: it may have fewer examples than dimensions.
SHRINKAGE = 0.1


def prompt_features(base: LoadedModel, prompts: list[list[int]]) -> torch.Tensor:
    """The features of prompts, float64 (n, d); the model has to be the base model as it is."""
    # A pair's features are of all its tokens: a prompt's last one takes the place of the target.
    return mean_features(base, [(prompt[:-1], prompt[-1:]) for prompt in prompts], Passes())


def task_features(base: LoadedModel, lesson: Lesson, by_class: bool = True) -> Tensors:
    """The features of a task, as a stage keeps them; to be taken before the training."""
    pairs = lesson.pairs[:MOST]
    features = prompt_features(base, [prompt for prompt, _ in pairs])
    targets = sorted({tuple(target) for _, target in pairs})
    classes = torch.tensor([targets.index(tuple(target)) for _, target in pairs])
    if not by_class or 2 * len(targets) > len(pairs):
        classes = torch.zeros_like(classes)
    return {MEAN: features.mean(dim=0), **statistics(features, classes), REACH: reach(features, classes)}


def statistics(features: torch.Tensor, classes: torch.Tensor) -> Tensors:
    """The means of the classes that occur, the scatter around them, and the number of examples.

    Args:
        features: (n, d).
        classes: (n,), a number for each class.
    """
    there, rows = classes.unique(return_inverse=True)
    means = torch.stack([features[rows == number].mean(dim=0) for number in range(len(there))])
    around = features - means[rows]
    return {MEANS: means, SCATTER: around.T @ around, COUNT: torch.tensor([len(features)])}


def reach(features: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The squared distance to the nearest class mean within which nearly all of a task's prompts lie; a scalar.

    It is a quantile of the prompts' own, each fifth of them measured by what the rest gives. The prompts that the means
    and the covariance were made of would not do: they lie so near, where there are fewer than some times the
    dimensions, that no other prompt of the task is within their reach. Infinite where there are too few to tell.

    Args:
        features, classes: as of `statistics`.
    """
    held_out = []
    order = classes.argsort(stable=True)  # so that each fifth has its share of every class
    for fold in range(FOLDS):
        out = torch.isin(torch.arange(len(order)), order[fold::FOLDS])
        if len(classes[~out].unique()) == len(classes[~out]):  # nothing around the means
            return torch.tensor(torch.inf, dtype=features.dtype)
        if out.any():
            held_out.append(squared_distances([statistics(features[~out], classes[~out])], features[out])[:, 0])
    return torch.cat(held_out).quantile(QUANTILE)


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


def similarities(kept: list[Tensors], task: torch.Tensor) -> torch.Tensor:
    """The cosines of a task's mean features with those of each task that was learnt: (tasks,)."""
    means = torch.stack([one[MEAN] for one in kept])
    return torch.nn.functional.cosine_similarity(means, task.unsqueeze(0), dim=1)


def tested_mean(state: State, prompts: list[list[int]], task: str) -> torch.Tensor:
    """A tested task's mean features: those kept of it, or, before it was learnt, those of the prompts themselves.

    The model has to be the base model as it is.
    """
    if task in state.tasks:
        return state.kept[state.tasks.index(task)][MEAN]
    return prompt_features(state.base, prompts).mean(dim=0)
