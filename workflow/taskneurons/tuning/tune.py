"""Neuron tuning: train only given neurons of the base model on one task's data, one set after the other (section 2).

Every set starts from the base model, and is trained at the rate that was chosen for its kind (`rate_search.py`), and
at one common rate. What is stored is the delta: the trained neurons' values and which they are.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.config.settings import DeviceSettings, StepSettings, TuningLoop, percent_text
from taskneurons.core.artifacts import read_provenance, write_frame
from taskneurons.core.content import content_hash
from taskneurons.core.errors import UserError
from taskneurons.data.task import read_task
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.tuning.delta import CROSSED, read_delta, write_delta
from taskneurons.tuning.watched import Finished, Job, Kept, pairs_of, train_set


class TuningSettings(StepSettings):
    """What the deltas depend on.

    Attributes:
        common: a learning rate for all kinds of sets but the crossed ones; None for none.
        examples: the most train examples; 0 for all.
        curve: how many steps of each training the validation loss is measured at.
    """

    training: TuningLoop
    common: float | None
    examples: int
    curve: int
    seed: int
    compute: DeviceSettings


@dataclass(frozen=True)
class Name:
    """What a training is called, and is there for.

    Attributes:
        kind: of the set: own, contrastive, random, other-family, without-universal, crossed.
        rate: what its learning rate is: tuned or common.
        delta: the name of its delta: own10-tuned, random10-draw0-common, crossed-<task>10-tuned.
    """

    kind: str
    rate: str
    delta: str


@dataclass(frozen=True)
class Training:
    """A set's training at one learning rate (its peak).

    Attributes:
        mask: the provenance of its mask.
        names: one, or several that are the same training.
    """

    neurons: NeuronSet
    mask: dict[str, Any]
    learning_rate: float
    names: list[Name]


def name_of(kind: str, rate: str, mask: dict[str, Any]) -> Name:
    """The name of the training of a mask's set."""
    k = percent_text(mask["k"])
    named = {"random": lambda: f"random{k}-draw{mask['draw']}", CROSSED: lambda: f"{CROSSED}-{mask['set']}{k}"}
    return Name(kind, rate, f"{named[kind]() if kind in named else f'{kind}{k}'}-{rate}")


def chosen_rates(paths: list[Path]) -> dict[str, float]:
    """Kind of set → the learning rate that was chosen for it."""
    found = [read_provenance(path, "learning rates") for path in paths]
    return {one["set_kind"]: one["learning_rate"] for one in found}


def rates_of(kind: str, chosen: dict[str, float], common: float | None) -> dict[str, float]:
    """tuned, common → the learning rates at which sets of a kind are trained.

    Raises:
        UserError: no rate was chosen for the kind.
    """
    kind_of_rate = "own" if kind == CROSSED else kind
    if kind_of_rate not in chosen:
        raise UserError(f"no learning rate was chosen for sets of the kind {kind_of_rate!r}")
    return {"tuned": chosen[kind_of_rate]} | ({} if common is None or kind == CROSSED else {"common": common})


def trainings(settings: TuningSettings, chosen: dict[str, float], sets: dict[str, list[Path]]) -> list[Training]:
    """All trainings: every set at its kind's rate and at the common one; once what is the same by several names.

    Raises:
        UserError: as `rates_of`, or two masks make the same delta.
    """
    found: dict[tuple[Path, float], Training] = {}
    for keyword, paths in sets.items():
        kind = keyword.replace("_", "-")
        for path in paths:
            neurons, mask = read_mask(path)
            for rate, value in rates_of(kind, chosen, settings.common).items():
                one = found.setdefault((path, value), Training(neurons, mask, value, []))
                one.names.append(name_of(kind, rate, mask))
    made = [name.delta for one in found.values() for name in one.names]
    if twice := [name for name in made if made.count(name) > 1]:
        raise UserError(f"two masks make the delta {twice[0]!r}")
    return list(found.values())


def columns(one: Training, name: Name) -> dict[str, Any]:
    """What tells a training's history and losses from those of others."""
    of_set = {"set": one.mask["set"], "k": float(one.mask["k"]), "neurons": len(one.neurons)}
    return {"kind": name.kind, "rate": name.rate, "peak": one.learning_rate, **of_set}


def with_beginning(curve: pd.DataFrame, untrained: float) -> pd.DataFrame:
    """The curve from step 0 on."""
    start = pd.DataFrame({"trained_pct": [0.0], "step": [0], "validation_loss": [untrained]})
    return pd.concat([start, curve], ignore_index=True)


def trained(base: LoadedModel, one: Training, job: Job, provenance: dict[str, Any], kept: Kept) -> Finished:
    """The training, or what a job that was killed had kept of it."""
    finished = kept.finished()
    if finished is None:
        what = f"{one.names[0].delta} on {job.task}"
        made = provenance if kept.with_delta else None
        finished = kept.keep(train_set(base, one.neurons, job, what, kept.checkpoint, made))
    return finished


def main(
    settings: TuningSettings,
    *,
    base: Path,
    data: Path,
    validation: Path,
    rates: list[Path],
    checkpoints: Path,
    metrics: Path,
    curves: Path,
    deltas: list[Path],
    **masks: list[Path],
) -> None:
    """Train sets of neurons on one task.

    Args:
        base: the base model's folder.
        data, validation: the train and validation split of the task.
        rates: the learning rates of the kinds of sets.
        checkpoints: a folder for what a killed job had done.
        metrics, curves: the histories and the validation losses of all trainings, to write.
        deltas: the deltas to write, or none where the losses alone are wanted; a file's stem is its name.
        masks: kind of set (with _ for -) → the sets to train.

    Raises:
        UserError: as `trainings`, or the deltas are not those that the masks make.
    """
    loaded = load_model(base, settings.compute)
    task = read_task(data)
    pairs = pairs_of(task, loaded, settings.examples)
    watched = pairs_of(read_task(validation), loaded, settings.training.validation)
    todo = trainings(settings, chosen_rates(rates), masks)
    outs = {path.stem: path for path in deltas}
    made = {name.delta for one in todo for name in one.names}
    if outs and (wrong := made ^ set(outs)):
        first = min(wrong)
        raise UserError(
            f"the delta {first!r} is {'made of a mask, but not asked for' if first in made else 'made of no mask'}"
        )
    untrained = Job(task.key, pairs, watched, settings.training.at(1), settings.seed, settings.curve).loss(loaded)
    histories, losses = [], []
    stored: dict[str, tuple[Path, Name]] = {}
    for one in todo:
        training = settings.training.at(one.learning_rate)
        job = Job(task.key, pairs, watched, training, settings.seed, settings.curve)
        provenance: dict[str, Any] = {
            **{key: one.mask[key] for key in ("set", "rule", "k", "draw") if key in one.mask},
            "learning_rate": one.learning_rate,
            "spec": settings.spec(),
            **loaded.provenance_on(task),
            "seed": settings.seed,
        }
        key = content_hash([provenance, np.flatnonzero(one.neurons.selected).tolist(), watched])
        # A job that was killed finds the sets that it had finished, and the state of the one that it was at.
        kept = Kept(checkpoints, one.names[0].delta, key, with_delta=bool(outs))
        finished = trained(loaded, one, job, provenance, kept)
        for name in one.names:
            histories.append(finished.history.assign(**columns(one, name)))
            losses.append(with_beginning(finished.curve, untrained).assign(**columns(one, name), task=task.key))
            stored[name.delta] = (kept.delta, name)
    for path in deltas:
        file, name = stored[path.stem]
        delta = read_delta(file)
        said = {**delta.provenance, "set_kind": name.kind, "rate": name.rate}
        write_delta(path, replace(delta, provenance=said))
    of_all = {"spec": settings.spec(), "seed": settings.seed}
    write_frame(metrics, pd.concat(histories, ignore_index=True), "training", of_all)
    write_frame(curves, pd.concat(losses, ignore_index=True), "validation losses", {**of_all, "task": task.key})
    shutil.rmtree(checkpoints)
