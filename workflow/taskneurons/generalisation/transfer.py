"""Transfer: the losses of every task after training on one of them, and what the trained model makes of common inputs.

A model is the base model with the delta of one task's own neurons. The losses have the columns of `tested_models.py`.
One row of the features a probe, the same ones for all models: task, id, and the entries of its mean hidden state.
"""

from pathlib import Path

import pandas as pd

from taskneurons.config.settings import DeviceSettings, Passes, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.data.task import Task, read_task
from taskneurons.generalisation.features import mean_features
from taskneurons.generalisation.tested_models import tested_frame
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.tuning.delta import read_delta, with_delta


class TransferSettings(StepSettings):
    """What losses and features depend on.

    Attributes:
        examples: test examples a task whose loss is measured, the first ones.
        probes: validation examples a task from which features are taken, the first ones.
    """

    examples: int
    probes: int
    passes: Passes
    compute: DeviceSettings


def features_frame(loaded: LoadedModel, tasks: list[Task], settings: TransferSettings) -> pd.DataFrame:
    """The features of the first examples of some tasks."""
    frames = []
    for task in tasks:
        pairs = [example.pair for example in task.encoded(loaded.tokenizer)[: settings.probes]]
        values = mean_features(loaded, pairs, settings.passes).numpy()
        entries = pd.DataFrame(values, columns=[f"feature_{number}" for number in range(values.shape[1])])
        frames.append(pd.DataFrame({"task": task.key, "id": range(len(pairs))}).join(entries))
    return pd.concat(frames, ignore_index=True)


def main(
    settings: TransferSettings,
    *,
    base: Path,
    data: list[Path],
    probes: list[Path],
    delta: Path,
    tested: Path,
    features: Path,
) -> None:
    """Write the losses and the features of the base model with a delta.

    Args:
        data, probes: the test and the validation splits of all tasks.
        delta: the own neurons of a task, trained on its data.
    """
    loaded, change = load_model(base, settings.compute), read_delta(delta)
    made = change.provenance
    with with_delta(loaded, change) as tuned:
        provenance = {
            **{"spec": settings.spec(), "model": tuned.identity, "state": "neuron-tuned", "trained_on": [made["task"]]},
            **{"seed": made["seed"], "k": made["k"], "dtype": tuned.compute.dtype_name},
        }
        losses = tested_frame(tuned, list(map(read_task, data)), settings.examples, settings.passes)
        write_frame(tested, losses, "tested model", provenance)
        write_frame(features, features_frame(tuned, list(map(read_task, probes)), settings), "features", provenance)
