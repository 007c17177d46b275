"""The learning rate and the knob of a method, chosen by accuracy on validation examples, alike for all methods.

The rule, which is fixed beforehand: the method learns two tasks, one after the other, at every rate of the grid, with
its knob's default; the final accuracy (label scoring, mean over both tasks) is a configuration's. Where the best is the
smallest or the largest rate tried, one more is tried beyond it, up to so many times at either end. The rate is the
smallest whose accuracy is within one standard error of the best. Then so many further configurations are tried: the
knob's other values at that rate, of which the first within one standard error of the best is taken; of a method without
a knob as many other rates instead, between the chosen one and its neighbours. A training that diverges has accuracy 0.
Test examples are never read.

One row a configuration: learning_rate, knob, accuracy (0–1), standard_error, chosen, at_edge (the chosen rate is the
smallest or the largest that was tried).
"""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from taskneurons.config.settings import ContinualLoop, Evaluation, RateSearch
from taskneurons.continual.method import Lesson, Stage, State, put_weights, weights_of
from taskneurons.continual.stages import StageSettings, lessons_of, splits_of
from taskneurons.continual.test_stage import LABEL, by_groups, right_labels
from taskneurons.core.artifacts import read_frame, read_provenance, write_frame
from taskneurons.core.content import content_hash
from taskneurons.core.errors import UserError
from taskneurons.data.task import Task
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.models.tensors_file import Tensors
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import DivergedError
from taskneurons.tuning.rate_search import extended

TUNED = "continual tuning"


class TuneSettings(StageSettings):
    """What the choice depends on; `tasks` are the two that are learnt.

    Attributes:
        search: the rates to try.
        further: configurations after the rate is chosen.
        examples: validation examples a task.
        evaluation: batches, and how a label is scored.
    """

    training: ContinualLoop
    search: RateSearch
    further: int
    examples: int
    evaluation: Evaluation


@dataclass(frozen=True)
class Tried:
    """A configuration and how well it did.

    Attributes:
        rate, knob: of the method.
        accuracy: 0–1, mean over the tasks.
        error: its standard error over validation examples.
    """

    rate: float
    knob: float | None
    accuracy: float
    error: float


Accuracy = Callable[[float, float | None], Tried]


def smallest_good(tried: list[Tried]) -> Tried:
    """Of configurations in the order of preference, the first within one standard error of the best."""
    best = max(tried, key=lambda one: one.accuracy)
    return next(one for one in tried if one.accuracy >= best.accuracy - best.error)


def between(rates: list[float], rate: float) -> list[float]:
    """Rates half-way, by ratio, from a rate to its neighbours among sorted ones; where it has one, two on that side."""
    at = rates.index(rate)
    sides = [rates[number] for number in (at - 1, at + 1) if 0 <= number < len(rates)]
    shares = (0.5,) if len(sides) == 2 else (1 / 3, 2 / 3)
    return [float(f"{rate ** (1 - share) * other**share:.4g}") for other in sides for share in shares]


def search(accuracy: Accuracy, settings: RateSearch, knobs: list[float], further: int) -> tuple[list[Tried], Tried]:
    """Try configurations by the rule; all of them, and the chosen one.

    Args:
        further: how many, after the rate is chosen.
        knobs: the values of the method's knob, the default first; none where it has no knob.
    """
    default = knobs[0] if knobs else None
    tried = {rate: accuracy(rate, default) for rate in sorted(settings.grid)}
    left = {"low": settings.extensions, "high": settings.extensions}
    while True:
        rates = sorted(tried)
        best = max(rates, key=lambda rate: tried[rate].accuracy)
        end = {rates[0]: "low", rates[-1]: "high"}.get(best)
        if end is None or not left[end]:
            break
        left[end] -= 1
        beyond = extended(rates, best)
        tried[beyond] = accuracy(beyond, default)
    chosen = smallest_good([tried[rate] for rate in rates])
    if knobs:
        others = [accuracy(chosen.rate, knob) for knob in knobs[1 : 1 + further]]
        return [*(tried[rate] for rate in rates), *others], smallest_good([chosen, *others])
    tried |= {rate: accuracy(rate, None) for rate in between(rates, chosen.rate)[:further]}
    return [tried[rate] for rate in sorted(tried)], smallest_good([tried[rate] for rate in sorted(tried)])


@dataclass(frozen=True)
class Trial:
    """What every configuration is tried on.

    Attributes:
        lessons: of the two tasks.
        watched: their validation splits.
        folder: of what a killed job had done.
    """

    settings: TuneSettings
    base: LoadedModel
    lessons: list[Lesson]
    watched: list[Task]
    folder: Path

    def tried(self, rate: float, knob: float | None) -> Tried:
        """The accuracy of a configuration, or what a job that was killed had kept of it."""
        pairs = [lesson.pairs for lesson in self.lessons]
        hashes = [task.data_hash for task in self.watched]
        key = content_hash([self.settings.spec(), self.base.identity, pairs, hashes, rate, knob])
        file = self.folder / f"{key}.parquet"
        if not file.exists():
            write_frame(file, pd.DataFrame([vars(self._tried(rate, knob, key))]), "configuration", {})
        row = read_frame(file, "configuration")[0].iloc[0]
        return Tried(rate, knob, float(row["accuracy"]), float(row["error"]))

    def _tried(self, rate: float, knob: float | None, key: str) -> Tried:
        try:
            state = self._learnt(rate, knob, key)
        except DivergedError:
            return Tried(rate, knob, 0.0, 0.0)
        right = []
        for task in self.watched:
            prompts = [example.prompt for example in task.encoded(self.base.tokenizer)[: self.settings.examples]]
            scored = {LABEL: right_labels(self.base, task, prompts, self.settings.evaluation)}
            right.append(by_groups(self.settings, state, prompts, task.key, scored)["value"].to_numpy())
        error = math.sqrt(sum(values.var(ddof=1) / len(values) for values in right)) / len(right)
        return Tried(rate, knob, float(np.mean([values.mean() for values in right])), error)

    def _learnt(self, rate: float, knob: float | None, key: str) -> State:
        """The state after both tasks; the model is the base model again."""
        settings, module = self.settings, self.settings.module
        joint = module.LEARNS == "jointly"
        model, weights = self.base.model, weights_of(self.base.model)
        kept: list[Tensors] = []
        for number in [len(self.lessons)] if joint else range(1, len(self.lessons) + 1):
            lessons = self.lessons[:number]
            if module.LEARNS == "alone":
                lessons = lessons[-1:]
            checkpoint = Checkpoint(self.folder / f"{key}-{number}.safetensors", f"{key}-{number}")
            before = kept if module.LEARNS == "in sequence" else []
            stage = Stage(self.base, lessons, before, settings.of_method(knob), settings.training.at(rate), checkpoint)
            try:
                kept = [*kept, module.learn(stage).tensors]
            finally:
                put_weights(model, weights)
            checkpoint.remove()
        return State(self.base, settings.tasks, kept, settings.of_method(knob))


def main(
    settings: TuneSettings,
    *,
    base: Path,
    data: list[Path],
    validation: list[Path],
    scores: list[Path],
    checkpoints: Path,
    tuned: Path,
) -> None:
    """Choose a method's learning rate and knob.

    Args:
        base: the base model's folder.
        data, validation: the train and validation splits of the two tasks.
        scores: of them, by the base model, where the method needs them.
        checkpoints: a folder for what a killed job had done.
        tuned: to write.

    Raises:
        UserError: at every rate some training diverges.
    """
    loaded = load_model(base, settings.compute)
    watched = splits_of(validation)
    trial = Trial(
        settings=settings,
        base=loaded,
        lessons=lessons_of(settings.tasks, splits_of(data), scores, loaded),
        watched=[watched[task] for task in settings.tasks],
        folder=checkpoints,
    )
    knob = settings.module.KNOB
    tried, chosen = search(trial.tried, settings.search, knob["grid"] if knob else [], settings.further)
    if not chosen.accuracy:
        raise UserError(
            f"{settings.module.NAME}: no configuration answers one validation example right "
            f"({', '.join(f'{one.rate:g}' for one in tried)}): take other rates in continual.tuning.grid"
        )
    rates = [one.rate for one in tried]
    frame = pd.DataFrame(
        {
            "learning_rate": rates,
            "knob": [math.nan if one.knob is None else one.knob for one in tried],
            "accuracy": [one.accuracy for one in tried],
            "standard_error": [one.error for one in tried],
            "chosen": [one is chosen for one in tried],
            "at_edge": [one is chosen and one.rate in (min(rates), max(rates)) for one in tried],
        }
    )
    said = {"method": settings.module.NAME, "tasks": settings.tasks, "knob_name": knob["name"] if knob else None}
    said |= {"learning_rate": chosen.rate, "knob": chosen.knob, "seed": settings.seed}
    write_frame(tuned, frame, TUNED, {"spec": settings.spec(), **said})
    shutil.rmtree(checkpoints, ignore_errors=True)


def chosen_of(tuned: list[Path], rate: float | None, knob: float | None) -> tuple[float, float | None]:
    """A method's learning rate and knob: the given ones, or those that its tuning chose."""
    if rate is not None:
        return rate, knob
    (path,) = tuned
    made = read_provenance(path, TUNED)
    return made["learning_rate"], made["knob"]
