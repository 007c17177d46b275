"""Train sets of neurons of the base model on a group of tasks together, and test each on tasks of any groups.

One set after the other starts from the base model, and is measured with the trained values in the model; no trained
values are kept. What was measured waits in a folder of the job until all sets are done, so that a job that was killed
goes on with the set that it was at, within its training. Equal sets are trained once.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.config.settings import DeviceSettings, Evaluation, Passes, StepSettings, TuningLoop
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.content import content_hash
from taskneurons.core.errors import UserError
from taskneurons.core.progress import progress
from taskneurons.data.encoding import Encoded, Pair
from taskneurons.data.task import Task, read_task
from taskneurons.generalisation.routed import RoutedNeurons
from taskneurons.generalisation.tested_models import loss_rows, score_rows
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.overlap_sets import Scores
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import train
from taskneurons.tuning.trained_neurons import entries_put_back, slices_of, trained_neurons
from taskneurons.tuning.watched import pairs_of

KIND = "measures of trained groups"
MEASURES = "measures of a trained set"


class GroupSettings(StepSettings):
    """What the measures of a trained group depend on.

    Attributes:
        train: the tasks that are trained together.
        test: the tasks on which each set is tested.
        scope: of the tops that make the sets.
        train_examples: the most train examples of a task; 0 for all.
        examples: test examples a task whose loss is measured.
        scored_examples: test examples a task that are scored; 0 for none.
        batch_tokens: the most tokens in a pass of the loss.
        seed: the training's.
    """

    train: list[str]
    test: list[str]
    scope: str
    training: TuningLoop
    train_examples: int
    examples: int
    scored_examples: int
    evaluation: Evaluation
    batch_tokens: int
    seed: int
    compute: DeviceSettings


@dataclass(frozen=True)
class TrainedSet:
    """A set to train.

    Attributes:
        columns: what tells it from the others of the job.
        neurons: which are trained.
        learning_rate: at which.
        own: task → its own neurons, where each task's examples train only those; none where all train all.
    """

    columns: dict[str, Any]
    neurons: NeuronSet
    learning_rate: float
    own: dict[str, NeuronSet] = field(default_factory=dict)


def read_scores(paths: Iterable[Path]) -> tuple[Scores, tuple[int, ...]]:
    """Task → its scores (n_neurons,), and the neurons of each layer."""
    scores: Scores = {}
    widths: tuple[int, ...] = ()
    for path in paths:
        frame, made = read_frame(path, "scores")
        scores[made["task"]] = frame["score"].to_numpy()
        widths = tuple(made["widths"])
    return scores, widths


def read_splits(paths: Iterable[Path], tasks: list[str]) -> dict[str, Task]:
    """Task → its split, in the order of `tasks`.

    Raises:
        UserError: a task has no file.
    """
    found = {task.key: task for task in map(read_task, paths)}
    if missing := [task for task in tasks if task not in found]:
        raise UserError(f"no file of data is of the task {missing[0]!r}")
    return {task: found[task] for task in tasks}


@dataclass(frozen=True)
class Group:
    """A group of tasks to be trained, and the tasks on which it is tested.

    Attributes:
        pairs: training task → its train examples.
        validation: the examples that may stop a training.
        tested: test task → its test split.
        folder: of what a killed job had done.
    """

    settings: GroupSettings
    base: LoadedModel
    pairs: dict[str, list[Pair]]
    validation: list[Pair]
    tested: dict[str, Task]
    folder: Path

    @cached_property
    def examples(self) -> dict[str, list[Encoded]]:
        """Test task → its test examples."""
        return {key: task.encoded(self.base.tokenizer) for key, task in self.tested.items()}

    def measures(self) -> pd.DataFrame:
        """Of the model as it stands: task, measure (loss, in nats, or score, 0–1), id, value."""
        settings, frames = self.settings, []
        passes = Passes(batch_size=settings.evaluation.batch_size, batch_tokens=settings.batch_tokens)
        for key, task in self.tested.items():
            examples = self.examples[key]
            frames.append(loss_rows(self.base, task, examples[: settings.examples], passes))
            if scored := examples[: settings.scored_examples]:
                frames.append(score_rows(self.base, task, scored, settings.evaluation))
        return pd.concat(frames, ignore_index=True)

    def trained(self, one: TrainedSet, what: str) -> pd.DataFrame:
        """The measures after a set's training, or those that a job that was killed had kept.

        Args:
            what: the training in words, for messages.
        """
        key = self.key(one)
        file = self.folder / f"{key}.parquet"
        if (kept := _kept(file)) is not None:
            return kept
        checkpoint = Checkpoint(self.folder / "training.safetensors", key)
        neurons = replace(one.neurons, model=self.base.identity)
        with entries_put_back([entry for _, slices in slices_of(self.base.model, neurons) for entry in slices]):
            self._train(one, neurons, what, checkpoint)
            found = self.measures()
        write_frame(file, found, MEASURES, {})
        checkpoint.remove()
        return found

    def _train(self, one: TrainedSet, neurons: NeuronSet, what: str, checkpoint: Checkpoint) -> None:
        base, training = self.base, self.settings.training.at(one.learning_rate)
        pairs = [pair for examples in self.pairs.values() for pair in examples]
        with trained_neurons(base.model, neurons) as trained:
            hooks = RoutedNeurons(trained, one.own, self.pairs, base, training) if one.own else trained
            seed = self.settings.seed
            train(base.model, hooks, pairs, training, base.compute, seed, what, self.validation, checkpoint)

    def key(self, one: TrainedSet) -> str:
        """Which training of which set, tested on what: all that decides its measures."""
        sets = {"": one.neurons, **one.own}
        chosen = {name: np.flatnonzero(neurons.selected).tolist() for name, neurons in sets.items()}
        data = [self.pairs, self.validation, {key: task.data_hash for key, task in self.tested.items()}]
        return content_hash([self.settings.spec(), self.base.identity, one.learning_rate, data, list(one.own), chosen])


def _kept(file: Path) -> pd.DataFrame | None:
    """What a job that was killed had measured; None where it had not, or the file is damaged."""
    try:
        return read_frame(file, MEASURES)[0] if file.exists() else None
    except UserError:
        return None


def read_group(
    settings: GroupSettings,
    base: Path,
    data: list[Path],
    validation: list[Path],
    tests: list[Path],
    checkpoints: Path,
) -> Group:
    """The group of a job.

    Args:
        base: the base model's folder.
        data, validation: the train splits of the training tasks, and their validation splits where they may stop the
            training.
        tests: the splits on which the tested tasks are measured.
        checkpoints: the folder for what a killed job had done.
    """
    loaded = load_model(base, settings.compute)
    watched = read_splits(validation, settings.train) if settings.training.patience else {}
    number = settings.training.validation
    return Group(
        settings=settings,
        base=loaded,
        pairs={
            key: pairs_of(task, loaded, settings.train_examples)
            for key, task in read_splits(data, settings.train).items()
        },
        validation=[pair for task in watched.values() for pair in pairs_of(task, loaded, number)],
        tested=read_splits(tests, settings.test),
        folder=checkpoints,
    )


def tune_group(group: Group, sets: list[TrainedSet], what: str) -> pd.DataFrame:
    """The measures of the base model as it is (kind "none"), and after the training of each set.

    Args:
        what: the group in words.

    Returns:
        The columns of the sets, then task, measure, id, value and the training's seed.
    """
    frames = [group.measures().assign(kind="none", n_neurons=0)]
    for number, one in enumerate(progress(sets, what, len(sets)), start=1):
        frames.append(group.trained(one, f"{what}, set {number}").assign(**one.columns))
    return pd.concat(frames, ignore_index=True).assign(seed=group.settings.seed)


def write_trained(path: Path, frame: pd.DataFrame, kind: str, job: Group, **named: Any) -> None:
    """Write what came of a job, and delete what it had kept on the way.

    Args:
        kind: of the file.
        named: what tells the job from others of its rule.
    """
    base = job.base
    made = {"model": base.identity, "state": base.provenance.get("state"), "dtype": base.compute.dtype_name}
    made["seed"] = job.settings.seed
    write_frame(path, frame, kind, {"spec": job.settings.spec(), **made, **named})
    shutil.rmtree(job.folder, ignore_errors=True)
