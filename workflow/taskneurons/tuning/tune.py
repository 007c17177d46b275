"""Neuron tuning: train only given neurons of the base model on one task's data, one set after the other (section 2).

Every set starts from the base model. What is stored is the delta: the trained neurons' values and which they are.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.config.settings import DeviceSettings, LoopSettings, StepSettings, percent_text
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.content import content_hash
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import Pair
from taskneurons.data.task import read_task
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import train
from taskneurons.tuning.delta import Delta, read_delta, trained_delta, write_delta
from taskneurons.tuning.trained_neurons import entries_put_back, trained_neurons

log = logging.getLogger(__name__)


class TuningSettings(StepSettings):
    """What the deltas depend on."""

    training: LoopSettings
    seed: int
    compute: DeviceSettings


def tune(
    base: LoadedModel,
    neurons: NeuronSet,
    pairs: list[Pair],
    validation: list[Pair],
    settings: TuningSettings,
    provenance: dict[str, Any],
    checkpoint: Checkpoint,
) -> tuple[Delta, pd.DataFrame]:
    """Train one set of neurons; the base model is as before afterwards.

    Args:
        provenance: what the delta is made of; `set` and `task` name the training.

    Returns:
        The delta, and the training's history.
    """
    what = f"{provenance['set']} on {provenance['task']}"
    with trained_neurons(base.model, neurons) as trained, entries_put_back(trained.slices):
        history = train(
            base.model, trained, pairs, settings.training, base.compute, settings.seed, what, validation, checkpoint
        )
        return trained_delta(base, trained, provenance), history


def delta_name(provenance: dict[str, Any]) -> str:
    """The name of a mask's delta: the set's, with its k where it is a task's own; random10-draw0 for a random one."""
    k = percent_text(provenance["k"])
    return f"random{k}-draw{provenance['draw']}" if provenance["rule"] == "random" else f"{provenance['set']}{k}"


@dataclass(frozen=True)
class Kept:
    """Where a finished training of a set waits for those of the others.

    Attributes:
        delta, record: its files.
        key: which training it is: all that decides its result.
    """

    delta: Path
    record: Path
    key: str

    def keep(self, delta: Delta, history: pd.DataFrame) -> None:
        write_delta(self.delta, delta)
        write_frame(self.record, history, "training", {"key": self.key})

    def history(self) -> pd.DataFrame | None:
        """The training's history; None where it was not kept, is of another training, or is damaged."""
        if not (self.delta.exists() and self.record.exists()):
            return None
        try:
            history, provenance = read_frame(self.record, "training")
            read_delta(self.delta)
        except UserError as problem:
            log.info("no use of what was kept, the set is trained anew: %s", problem)
            return None
        if provenance["key"] != self.key:
            return None
        log.info("%s: trained in an earlier try", self.record.stem)
        return history


def main(
    settings: TuningSettings,
    *,
    base: Path,
    data: Path,
    validation: list[Path],
    masks: list[Path],
    checkpoints: Path,
    metrics: Path,
    deltas: list[Path],
) -> None:
    """Train sets of neurons on one task.

    Args:
        base: the base model's folder.
        data, validation: the train and validation split of the task; no validation where the training watches none.
        masks: the sets to train.
        checkpoints: a folder for what a killed job had done.
        metrics: the histories of all trainings, to write.
        deltas: the deltas to write; a file's stem says which mask it is of (`delta_name`).
    """
    loaded = load_model(base, settings.compute)
    task = read_task(data)
    pairs = [example.pair for example in task.encoded(loaded.tokenizer)]
    watched = [example.pair for path in validation for example in read_task(path).encoded(loaded.tokenizer)]
    watched = watched[: settings.training.validation]
    outs = {path.stem: path for path in deltas}
    histories, finished = [], {}
    for path in masks:
        neurons, mask = read_mask(path)
        name = delta_name(mask)
        if name not in outs or name in finished:
            raise UserError(
                f"{path} makes the delta {name!r}, which is {'made twice' if name in finished else 'not asked for'}"
            )
        of_set = {key: mask[key] for key in ("set", "rule", "k")}
        provenance = {**of_set, "spec": settings.spec(), **loaded.provenance_on(task), "seed": settings.seed}
        key = content_hash([provenance, np.flatnonzero(neurons.selected).tolist(), watched])
        # A job that was killed finds the sets that it had finished, and the state of the one that it was at.
        kept = Kept(checkpoints / f"{name}.delta.safetensors", checkpoints / f"{name}.parquet", key)
        history = kept.history()
        if history is None:
            checkpoint = Checkpoint(checkpoints / f"{name}.safetensors", key)
            delta, history = tune(loaded, neurons, pairs, watched, settings, provenance, checkpoint)
            history = history.assign(set=mask["set"], k=mask["k"], neurons=len(neurons))
            kept.keep(delta, history)
            checkpoint.remove()
        histories.append(history)
        finished[name] = kept
    if missing := set(outs) - set(finished):
        raise UserError(f"no mask makes the delta {sorted(missing)[0]!r}")
    for name, kept in finished.items():
        write_delta(outs[name], read_delta(kept.delta))
    write_frame(metrics, pd.concat(histories, ignore_index=True), "training", {"spec": settings.spec()})
    shutil.rmtree(checkpoints)
