"""What the base model makes of a task's prompts: by it a method tells which task an input is of.

A prompt's features are the mean of the last layer's hidden states over its tokens. A task's are kept as the mean over
its train prompts, and, class by class (a class is a target), as means and as the scatter around them.
"""

import torch

from taskneurons.config.settings import Passes
from taskneurons.continual.method import Lesson
from taskneurons.generalisation.features import mean_features
from taskneurons.models.loaded import LoadedModel
from taskneurons.models.tensors_file import Tensors

MOST = 1000  # train prompts of a task, as in the paper
MEAN, MEANS, SCATTER, COUNT = "features.mean", "features.means", "features.scatter", "features.count"
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
    means = torch.stack([features[rows == number].mean(dim=0) for number in range(len(classes))])
    around = features - means[rows]
    return {MEAN: features.mean(dim=0), MEANS: means, SCATTER: around.T @ around, COUNT: torch.tensor([len(pairs)])}


def squared_distances(kept: list[Tensors], features: torch.Tensor) -> torch.Tensor:
    """Each input's smallest squared Mahalanobis distance to a class mean of each task: (n, tasks).

    The covariance is that within classes, of all tasks together.
    """
    count = torch.stack([one[COUNT] for one in kept]).sum()
    covariance = torch.stack([one[SCATTER] for one in kept]).sum(dim=0) / count
    size = len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * covariance.trace() / size * torch.eye(size).to(covariance)
    whitening = torch.linalg.cholesky(covariance)

    def white(vectors: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve_triangular(whitening, vectors.T, upper=False).T

    inputs = white(features)
    return torch.stack([torch.cdist(inputs, white(one[MEANS])).square().amin(dim=1) for one in kept], dim=1)


def similarities(kept: list[Tensors], task: torch.Tensor) -> torch.Tensor:
    """The cosines of a task's mean features with those of each task that was learnt: (tasks,)."""
    means = torch.stack([one[MEAN] for one in kept])
    return torch.nn.functional.cosine_similarity(means, task.unsqueeze(0), dim=1)
