"""Transfer: the losses of every task after training on one of them, and what the trained model makes of common inputs.

A model is the base model with the delta of one task's own neurons, or the base model as it is. One row of the losses a
test example: task, measure (loss), id, value (L: the mean loss of its target tokens, in nats). One row of the features
a probe, the same ones for all models: task, id, and the entries of its mean hidden state.
"""

from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from taskneurons.config.settings import DeviceSettings, Passes, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.data.task import read_task
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.generalisation.features import mean_features
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.tuning.delta import read_delta, with_delta


class TransferSettings(StepSettings):
    """What losses and features depend on.

    Attributes:
        examples: test examples a task whose loss is measured, the first ones.
        probes: validation examples a task from which features are taken, the first ones.
    """

    examples: int
    probes: int = 0
    passes: Passes
    compute: DeviceSettings


def losses_frame(loaded: LoadedModel, tests: list[Path], settings: TransferSettings) -> pd.DataFrame:
    """The losses on the first test examples of some tasks."""
    frames = []
    for task in map(read_task, tests):
        pairs = [example.pair for example in task.encoded(loaded.tokenizer)[: settings.examples]]
        values = target_losses(loaded, pairs, settings.passes, task.key)
        frames.append(pd.DataFrame({"task": task.key, "measure": "loss", "id": range(len(pairs)), "value": values}))
    return pd.concat(frames, ignore_index=True)


def features_frame(loaded: LoadedModel, probes: list[Path], settings: TransferSettings) -> pd.DataFrame:
    """The features of the first validation examples of some tasks."""
    frames = []
    for task in map(read_task, probes):
        pairs = [example.pair for example in task.encoded(loaded.tokenizer)[: settings.probes]]
        values = mean_features(loaded, pairs, settings.passes).numpy()
        entries = pd.DataFrame(values, columns=[f"feature_{number}" for number in range(values.shape[1])])
        frames.append(pd.DataFrame({"task": task.key, "id": range(len(pairs))}).join(entries))
    return pd.concat(frames, ignore_index=True)


def main(
    settings: TransferSettings,
    *,
    base: Path,
    tests: list[Path],
    losses: Path,
    delta: Path | None = None,
    probes: list[Path] | None = None,
    features: Path | None = None,
) -> None:
    """Write the losses, and the features where they are asked for, of the base model with a delta, or without one.

    Args:
        tests, probes: the test and the validation splits of all tasks.
        delta: the own neurons of a task, trained on its data.
    """
    loaded = load_model(base, settings.compute)
    provenance = {"spec": settings.spec(), "state": "base", "trained_on": [], "dtype": loaded.compute.dtype_name}
    with ExitStack() as stack:
        if delta is not None:
            change = read_delta(delta)
            loaded = stack.enter_context(with_delta(loaded, change))
            made = change.provenance
            provenance |= {"state": "neuron-tuned", "trained_on": [made["task"]], "seed": made["seed"], "k": made["k"]}
        provenance["model"] = loaded.identity
        write_frame(losses, losses_frame(loaded, tests, settings), "tested model", provenance)
        if features is not None:
            write_frame(features, features_frame(loaded, probes or [], settings), "features", provenance)
