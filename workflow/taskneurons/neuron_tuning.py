"""Neuron tuning: train only given neurons of the base model on one task's data, one set after the other (section 2).

Every set starts from the base model. What is stored is the delta: the trained neurons' values and which they are.
"""

import argparse
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons import command
from taskneurons.artifacts import content_hash, read_frame, read_metadata, write_frame
from taskneurons.checkpoint import Checkpoint
from taskneurons.delta import Delta, trained_delta, write_delta
from taskneurons.models import LoadedModel, check_made_on, load_model
from taskneurons.neuron_set import NeuronSet, read_mask
from taskneurons.task import read_task
from taskneurons.trained_neurons import entries_put_back, trained_neurons
from taskneurons.training import Pair, train

log = logging.getLogger(__name__)


def tune(
    base: LoadedModel,
    neurons: NeuronSet,
    pairs: list[Pair],
    validation: list[Pair],
    spec: dict[str, Any],
    facts: dict[str, Any],
    checkpoint: Checkpoint,
) -> tuple[Delta, pd.DataFrame]:
    """Train one set of neurons; the base model is as before afterwards.

    Args:
        spec: training (settings as for `train`) and seed.
        facts: what the delta is made of.

    Returns:
        The delta, and the training's history.
    """
    what = f"{facts['set']} on {facts['task']}"
    with trained_neurons(base.model, neurons) as trained, entries_put_back(trained.slices):
        history = train(
            base.model, trained, pairs, spec["training"], base.compute, spec["seed"], what, validation, checkpoint
        )
        return trained_delta(base, trained, facts), history


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    base = load_model(arguments.model, spec["compute"])
    task = read_task(arguments.data)
    pairs = [example.pair for example in task.encoded(base.tokenizer)]
    watched = [example.pair for path in arguments.validation for example in read_task(path).encoded(base.tokenizer)]
    validation = watched[: spec["training"]["validation"]]
    histories, finished = [], []
    for path in arguments.masks:
        neurons, made = read_mask(path)
        check_made_on(path, made, base.identity)
        facts = {"set": made["set"], "rule": made["rule"], "k": made["k"], "spec": spec, **task.facts(base)}
        key = content_hash([facts, np.flatnonzero(neurons.selected).tolist(), validation])
        # A job that was killed finds the sets that it had finished, and the state of the one that it was at.
        state = f"{made['set']}{made['k']:g}"
        delta_file = arguments.checkpoints / f"{state}.delta.safetensors"
        history_file = arguments.checkpoints / f"{state}.parquet"
        kept = delta_file.exists() and history_file.exists()
        if kept and read_metadata(history_file, "training")["key"] == key:
            log.info("%s: trained in an earlier try", state)
        else:
            checkpoint = Checkpoint(arguments.checkpoints / f"{state}.safetensors", key)
            delta, history = tune(base, neurons, pairs, validation, spec, facts, checkpoint)
            write_delta(delta_file, delta)
            history = history.assign(set=made["set"], k=made["k"], neurons=len(neurons))
            write_frame(history_file, history, "training", {"key": key})
            checkpoint.remove()
        histories.append(read_frame(history_file, "training")[0])
        finished.append(delta_file)
    for delta_file, out in zip(finished, arguments.out, strict=True):
        out.parent.mkdir(parents=True, exist_ok=True)
        delta_file.replace(out)
    write_frame(arguments.metrics, pd.concat(histories, ignore_index=True), "training", {"spec": spec})
    shutil.rmtree(arguments.checkpoints)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the base model's folder")
    options.add_argument("--data", type=Path, required=True, help="the train split of the task (Parquet)")
    options.add_argument("--validation", type=Path, nargs="*", default=[], help="its validation split (Parquet)")
    options.add_argument("--masks", type=Path, nargs="+", required=True, help="the sets to train (Parquet)")
    options.add_argument("--checkpoints", type=Path, required=True, help="keep states here, to go on after a kill")
    options.add_argument("--metrics", type=Path, required=True, help="write the losses of all sets here (Parquet)")
    options.add_argument("--out", type=Path, nargs="+", required=True, help="write each set's delta here (safetensors)")
    command.run(main, options)
