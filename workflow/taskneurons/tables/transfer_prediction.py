"""What predicts transfer: the rank correlation of each predictor with measured transfer over ordered pairs of tasks.

Transfer i → j is the fall of j's loss, or the rise of its score, by training on i: of i's own neurons alone, or of the
whole model. The primary measure is fixed beforehand: by losses, from the neuron tunings, the rank correlation after
source and target means are taken out (`association.py`), of the predictors that all tasks have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.core.artifacts import read_frame
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.neuron_set import NeuronSet, chance_jaccard, top_share
from taskneurons.tables.association import NONE, association, complete, holm, raw_correlation
from taskneurons.tables.common import TableSettings, read_predictions
from taskneurons.tables.similarity import MEAN_VECTOR, TOGETHER

# Predictor → what it costs beyond the model and the data.
COSTS = {
    "neuron-overlap": "backward",
    "parameter-similarity": "backward",
    "activated-overlap": "forward",
    "gradient-cosine": "backward",
    "fisher-cosine": "backward",
    "task-vector-cosine": "one training a task",
    "task-vector-cosine-whole": "one training a task",
    "task-vector-cosine-slices": "one training a task",
    "text-embedding-cosine": "forward",
    "cka": "one training a task",
    "same-family": "none",
    "same-kind": "none",
}
DUMMIES = ("same-family", "same-kind")
OF_SOME_TASKS = ("task-vector-cosine-whole", "task-vector-cosine-slices")
TUNING, WHOLE = "neuron-tuning", "whole-model"


def of_pairs(tasks: list[str], value: Callable[[str, str], float]) -> np.ndarray:
    """A matrix (n, n) over ordered pairs of tasks; NaN on the diagonal."""
    return np.array([[np.nan if one == other else value(one, other) for other in tasks] for one in tasks])


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The cosine of two vectors; NaN where one is zero."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else np.nan


def linear_cka(one: np.ndarray, other: np.ndarray) -> float:
    """Linear CKA (Kornblith et al. 2019) of two models' features of the same inputs, (inputs, d) each.

    |YᵀX|² / (|XᵀX| |YᵀY|) with centred columns and Frobenius norms; NaN where a side is constant.
    """
    x, y = (features - features.mean(axis=0) for features in (one, other))
    lengths = float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    return float(np.linalg.norm(y.T @ x) ** 2) / lengths if lengths else np.nan


def above_chance(one: NeuronSet, other: NeuronSet) -> float:
    """The Jaccard index of two sets less that of independent random sets of their sizes."""
    return one.jaccard(other) - chance_jaccard(len(one), len(other), sum(one.widths))


@dataclass(frozen=True)
class Predictors:
    """The tasks whose pairs are predicted, in the order of the matrices."""

    tasks: list[str]

    def cosines(self, vectors: dict[str, np.ndarray]) -> np.ndarray:
        """Of one vector a task."""
        return of_pairs(self.tasks, lambda one, other: cosine(vectors[one], vectors[other]))

    def overlaps(self, sets: dict[str, NeuronSet]) -> np.ndarray:
        """Of one set a task."""
        return of_pairs(self.tasks, lambda one, other: above_chance(sets[one], sets[other]))

    def stored(self, values: dict[tuple[str, str], float]) -> np.ndarray:
        """Of values of pairs; NaN where there is none."""
        return of_pairs(self.tasks, lambda one, other: values.get((one, other), np.nan))

    def same(self, shown: dict[str, dict[str, Any]], field: str) -> np.ndarray:
        """Whether two tasks have the same entry in a field: 1 or 0."""
        return of_pairs(self.tasks, lambda one, other: float(shown[one][field] == shown[other][field]))


def read_probes(
    paths: list[Path], percent: float, scope: str
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, NeuronSet]]:
    """Kind → task → vector of the base model, and task → its most activated neurons."""
    vectors: dict[str, dict[str, np.ndarray]] = {}
    activated = {}
    for path in paths:
        frame, made = read_frame(path, "probes")
        for kind, rows in frame.groupby("kind"):
            vectors.setdefault(str(kind), {})[made["task"]] = rows["value"].to_numpy()
        values = vectors["activation"][made["task"]]
        activated[made["task"]] = top_share(values, percent, tuple(made["widths"]), scope)
    return vectors, activated


def read_features(paths: list[Path]) -> dict[str, np.ndarray]:
    """Task → the features that the model trained on it makes of the common inputs, (inputs, d)."""
    found = {}
    for path in paths:
        frame, made = read_frame(path, "features")
        found[made["trained_on"][0]] = frame.filter(like="feature_").to_numpy()
    return found


def read_vectors(paths: list[Path]) -> dict[str, dict[tuple[str, str], float]]:
    """Kind of task vectors → pair of tasks → cosine."""
    (path,) = paths
    frame, _ = read_frame(path, "task vectors")
    return {
        str(kind): dict(zip(zip(rows["first"], rows["second"], strict=True), rows["value"], strict=True))
        for kind, rows in frame.groupby("kind")
    }


def read_similarity(paths: list[Path]) -> dict[tuple[str, str], float]:
    """Pair of tasks → the similarity of their neurons' parameters in the base model: mean vectors, mean over layers."""
    found: dict[tuple[str, str], float] = {}
    for path in paths:
        frame, _ = read_frame(path, "similarity")
        own = frame[(frame["method"] == MEAN_VECTOR) & (frame["matrix"] == TOGETHER) & (frame["draw"] == -1)]
        found |= own.groupby(["train_task", "test_task"])["value"].mean().to_dict()
    return found


def mean_losses(path: Path) -> tuple[list[str], dict[str, float]]:
    """The tasks that a model was trained on, and its mean loss on each task."""
    frame, made = read_frame(path, "tested model")
    return made["trained_on"], frame[frame["measure"] == "loss"].groupby("task")["value"].mean().to_dict()


def falls(base: list[Path], trained: list[Path], tasks: list[str]) -> np.ndarray:
    """The fall of each task's mean loss by training on each, (sources, targets) in nats; NaN of what was not trained.

    Args:
        base: the losses of the base model.
        trained: those of models that were trained on one task each.
    """
    (before,) = (losses for _, losses in map(mean_losses, base))
    after = {source: losses for (source,), losses in map(mean_losses, trained)}
    found = {(source, task): before[task] - losses[task] for source, losses in after.items() for task in tasks}
    return Predictors(tasks).stored(found)


def rises(tuned: list[Path], base: list[Path], settings: TableSettings) -> np.ndarray:
    """The rise of each task's score by training each task's own neurons, (sources, targets) in points."""
    limit = settings["evaluation.cross_task_examples"]
    before = {one.task: one.scores("none") for one in read_predictions(base, settings.tasks)}
    after = {one.task: one for one in read_predictions(tuned, settings.tasks)}

    def rise(source: str, target: str) -> float:
        scores = after[target].scores(source)[:, :limit]
        return float(scores.mean() - before[target][:, : scores.shape[1]].mean())

    return of_pairs(list(settings.tasks), rise)


def row(
    predictor: str, values: np.ndarray, measured: np.ndarray, dummies: list[np.ndarray], settings: TableSettings
) -> dict[str, Any]:
    """The columns of a predictor and a measured transfer, both (n, n)."""
    kept = complete(values, measured)
    among = np.ix_(kept, kept)
    one, other = measured[among], values[among]
    how = settings["tables.bootstrap"], settings["tables.confidence"]
    given = [dummy[among] for dummy in dummies]
    partial = NONE if predictor in DUMMIES else association(one, other, given, *how)
    return {
        "n_tasks": len(kept),
        "n_pairs": len(kept) * (len(kept) - 1),
        **association(one, other, [], *how).columns("spearman", ""),
        "p_holm": np.nan,
        **partial.columns("partial", "partial_"),
        "raw": raw_correlation(one, other) if len(kept) > 1 else np.nan,
        "cost": COSTS[predictor],
    }


def rows(
    settings: TableSettings,
    *,
    base_tested: list[Path],
    tuned_tested: list[Path],
    whole_tested: list[Path],
    base_predictions: list[Path],
    first_tuned_predictions: list[Path],
    tuned_features: list[Path],
    task_probes: list[Path],
    task_vectors: list[Path],
    base_masks: list[Path],
    base_similarity: list[Path],
) -> list[dict[str, Any]]:
    """One row a measured transfer and predictor that there is; of fewer than four tasks there are no correlations."""
    tasks = list(settings.tasks)
    matrices = Predictors(tasks)
    vectors, activated = read_probes(task_probes, settings["selection.k"], settings["selection.scope"])
    cosines = read_vectors(task_vectors)
    features = read_features(tuned_features)
    predictors = {
        "neuron-overlap": matrices.overlaps({made["set"]: one for one, made in map(read_mask, base_masks)}),
        "parameter-similarity": matrices.stored(read_similarity(base_similarity)),
        "activated-overlap": matrices.overlaps(activated),
        "gradient-cosine": matrices.cosines(vectors["gradient"]),
        "fisher-cosine": matrices.cosines(vectors["fisher"]),
        "task-vector-cosine": matrices.stored(cosines["neuron-tuning"]),
        "task-vector-cosine-whole": matrices.stored(cosines.get("whole-model", {})),
        "task-vector-cosine-slices": matrices.stored(cosines.get("neuron-slices", {})),
        "text-embedding-cosine": matrices.cosines(vectors["features"]),
        "cka": of_pairs(tasks, lambda one, other: linear_cka(features[one], features[other])),
        "same-family": matrices.same(settings.tasks, "family"),
        "same-kind": matrices.same(settings.tasks, "metric"),
    }
    transfers = {
        (TUNING, "loss"): falls(base_tested, tuned_tested, tasks),
        (TUNING, "score"): rises(first_tuned_predictions, base_predictions, settings),
        **({(WHOLE, "loss"): falls(base_tested, whole_tested, tasks)} if whole_tested else {}),
    }
    dummies = [predictors[name] for name in DUMMIES]
    result = []
    for (transfer, measure), measured in transfers.items():
        for name, values in predictors.items():
            if np.isnan(values).all():
                continue
            is_primary = (transfer, measure) == (TUNING, "loss") and name not in OF_SOME_TASKS
            said = {"predictor": name, "transfer": transfer, "measure": measure}
            said["status"] = "primary" if is_primary else "exploratory"
            result.append(said | row(name, values, measured, dummies, settings))
    primary = [one for one in result if one["status"] == "primary"]
    for one, p in zip(primary, holm(np.array([one["p"] for one in primary])), strict=True):
        one["p_holm"] = float(p)
    return result
