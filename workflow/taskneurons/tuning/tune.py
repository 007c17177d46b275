"""Neuron tuning: train only given neurons of the base model on one task's data, one set after the other (section 2).

Every set starts from the base model. What is stored is the delta: the trained neurons' values and which they are.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.config.settings import DeviceSettings, LoopSettings, StepSettings, percent_text
from taskneurons.core.artifacts import content_hash, read_frame, read_provenance, write_frame
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import Pair
from taskneurons.data.task import read_task
from taskneurons.models.loaded import LoadedModel, check_made_on, load_model
from taskneurons.neurons.mask_file import read_mask
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import train
from taskneurons.tuning.delta import Delta, trained_delta, write_delta
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
        check_made_on(path, mask, loaded)
        name = delta_name(mask)
        if name not in outs or name in finished:
            raise UserError(
                f"{path} makes the delta {name!r}, which is {'made twice' if name in finished else 'not asked for'}"
            )
        of_set = {key: mask[key] for key in ("set", "rule", "k")}
        provenance = {**of_set, "spec": settings.spec(), **loaded.provenance_on(task)}
        key = content_hash([provenance, np.flatnonzero(neurons.selected).tolist(), watched])
        # A job that was killed finds the sets that it had finished, and the state of the one that it was at.
        delta_file = checkpoints / f"{name}.delta.safetensors"
        history_file = checkpoints / f"{name}.parquet"
        kept = delta_file.exists() and history_file.exists()
        if kept and read_provenance(history_file, "training")["key"] == key:
            log.info("%s: trained in an earlier try", name)
        else:
            checkpoint = Checkpoint(checkpoints / f"{name}.safetensors", key)
            delta, history = tune(loaded, neurons, pairs, watched, settings, provenance, checkpoint)
            write_delta(delta_file, delta)
            history = history.assign(set=mask["set"], k=mask["k"], neurons=len(neurons))
            write_frame(history_file, history, "training", {"key": key})
            checkpoint.remove()
        histories.append(read_frame(history_file, "training")[0])
        finished[name] = delta_file
    if missing := set(outs) - set(finished):
        raise UserError(f"no mask makes the delta {sorted(missing)[0]!r}")
    for name, delta_file in finished.items():
        outs[name].parent.mkdir(parents=True, exist_ok=True)
        delta_file.replace(outs[name])
    write_frame(metrics, pd.concat(histories, ignore_index=True), "training", {"spec": settings.spec()})
    shutil.rmtree(checkpoints)
