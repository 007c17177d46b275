"""Task vectors: the cosine of what two trainings changed in the base model's parameters.

One row an ordered pair of tasks: kind, first, second, value. The kinds:
- neuron-tuning: the changes by neuron tuning of the two tasks' own neurons, zero where an entry was not trained;
- whole-model: the changes of all parameters by fine-tuning the whole model on the two tasks;
- neuron-slices: the latter in the entries of the two tasks' own neurons alone (of either task).

The changes are taken parameter by parameter, so that no more than one parameter of every model is held at once.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open

from taskneurons.config.settings import DeviceSettings, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.core.errors import UserError
from taskneurons.core.progress import progress
from taskneurons.models.loaded import LoadedModel, check_files, load_model, read_model_provenance
from taskneurons.neurons.blocks import flags_of_blocks
from taskneurons.neurons.matrices import matrices
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.tuning.delta import read_delta
from taskneurons.tuning.trained_neurons import slices_of


class TaskVectorsSettings(StepSettings):
    """What the cosines depend on.

    Attributes:
        tasks: of the deltas, in their order.
        trained: of the fine-tuned models, in their order; some of `tasks`.
    """

    tasks: list[str]
    trained: list[str]
    compute: DeviceSettings


def cosines(products: np.ndarray) -> np.ndarray:
    """(n, n) of the inner products; NaN where a vector is zero."""
    lengths = np.sqrt(np.diagonal(products))
    with np.errstate(invalid="ignore", divide="ignore"):
        return products / np.outer(lengths, lengths)


def products_of_deltas(loaded: LoadedModel, deltas: list[Path], neurons: list[NeuronSet]) -> np.ndarray:
    """The inner products of the deltas' changes of the base model, (n, n).

    Args:
        loaded: the base model.
        neurons: whose values each delta holds.
    """
    places = [{one.name: one for _, found in slices_of(loaded.model, set_) for one in found} for set_ in neurons]
    total = np.zeros((len(deltas), len(deltas)))
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(path, framework="pt")) for path in deltas]
        names = sorted(set().union(*places))
        for name in progress(names, "task vectors of deltas", len(names)):
            changes: list[torch.Tensor | None] = []
            for file, slices in zip(files, places, strict=True):
                one = slices.get(name)
                if one is None:
                    changes.append(None)
                    continue
                dense = torch.zeros_like(one.whole.detach(), dtype=torch.float32, device="cpu")
                rows = dense.movedim(one.axis, 0)  # a view
                rows[one.index.cpu()] = file.get_tensor(name).float() - one.read().cpu().float()
                changes.append(dense.flatten())
            total += _products(changes)
    return total


def _products(changes: list[torch.Tensor | None]) -> np.ndarray:
    """The inner products of flat vectors, (n, n); None is a vector of zeros."""
    like = next(one for one in changes if one is not None)
    stacked = torch.stack([torch.zeros_like(like) if one is None else one for one in changes])
    return (stacked @ stacked.T).double().numpy()


class ModelTensors:
    """The tensors of a model's folder, read one at a time from its safetensors files."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Open the files, which `stack` closes; raises UserError where one is damaged."""
        check_files(folder, read_model_provenance(folder))
        files = [stack.enter_context(safe_open(path, framework="pt")) for path in sorted(folder.glob("*.safetensors"))]
        self.files: dict[str, Any] = {name: file for file in files for name in file.keys()}  # noqa: SIM118
        self.folder = folder

    def read(self, name: str) -> torch.Tensor:
        """A tensor, in float32."""
        if name not in self.files:
            raise UserError(f"{self.folder} holds no {name}: are this model and the base model of one architecture?")
        return self.files[name].get_tensor(name).float()


@dataclass(frozen=True)
class Owned:
    """Whose a parameter's entries are.

    Attributes:
        axis: the axis along which its neurons run.
        flags: (n, neurons along that axis), which are in each task's own set.
    """

    axis: int
    flags: np.ndarray


def owned_parameters(loaded: LoadedModel, neurons: list[NeuronSet]) -> dict[str, Owned]:
    """Name → whose entries of an FFN's parameter are in each of the sets."""
    flags = [flags_of_blocks(loaded.model, one) for one in neurons]
    found = {}
    for number, layer in enumerate(matrices(loaded.model)):
        for matrix in layer:
            for name, (parameter, axis) in matrix.neuron_parameters().items():
                of_sets = np.stack([of_blocks[number].numpy() for of_blocks in flags])
                times = parameter.shape[axis] // of_sets.shape[1]  # gate and up may be in one matrix
                found[name] = Owned(axis, np.tile(of_sets, times))
    return found


def products_of_models(
    base: Path, models: list[Path], owned: dict[str, Owned]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The inner products of what fine-tuning changed, of all parameters and of the neurons of two sets alone, (n, n).

    Args:
        owned: of the FFN's parameters, whose entries they are; one set a model.

    Returns:
        the products of all parameters; those in the union of the sets i and j; and of i with itself there.
    """
    whole, joint, first = np.zeros((3, len(models), len(models)))
    with ExitStack() as stack:
        before, *after = (ModelTensors(folder, stack) for folder in (base, *models))
        names = sorted({*before.files, *owned})
        for name in progress(names, "task vectors of models", len(names)):
            was = before.read(name)
            changes = torch.stack([one.read(name) - was for one in after])
            flat = changes.flatten(1)
            whole += (flat @ flat.T).double().numpy()
            if name in owned:
                neurons = owned[name].flags.shape[1]
                rows = changes.movedim(1 + owned[name].axis, 1).reshape(len(models), neurons, -1)
                by_neuron = torch.einsum("ink,jnk->ijn", rows, rows).double().numpy()
                flags = owned[name].flags
                union = flags[:, None] | flags[None]  # (n, n, neurons)
                joint += (by_neuron * union).sum(axis=2)
                own = np.diagonal(by_neuron).T  # (n, neurons)
                first += (own[:, None] * union).sum(axis=2)
    return whole, joint, first


def vectors_frame(kind: str, tasks: list[str], values: np.ndarray) -> pd.DataFrame:
    """A matrix over tasks as rows."""
    first, second = (side.ravel() for side in np.meshgrid(tasks, tasks, indexing="ij"))
    return pd.DataFrame({"kind": kind, "first": first, "second": second, "value": values.ravel()})


def main(
    settings: TaskVectorsSettings, *, base: Path, deltas: list[Path], models: list[Path], task_vectors: Path
) -> None:
    """Write the cosines.

    Args:
        base: the base model's folder.
        deltas: of every task, its own neurons trained on its data.
        models: the folders of the whole models that were fine-tuned on one task each; there may be none.

    Raises:
        UserError: a delta is of another task than `tasks` says, or was trained from another model.
    """
    loaded = load_model(base, settings.compute)
    neurons = {}
    for task, path in zip(settings.tasks, deltas, strict=True):
        delta = read_delta(path)
        if delta.provenance["task"] != task or delta.base != loaded.identity:
            raise UserError(f"{path} is of {delta.provenance['task']} and model {delta.base}, not of {task} and this")
        neurons[task] = delta.neurons
    tuned = cosines(products_of_deltas(loaded, deltas, list(neurons.values())))
    frames = [vectors_frame("neuron-tuning", settings.tasks, tuned)]
    if models:
        owned = owned_parameters(loaded, [neurons[task] for task in settings.trained])
        whole, joint, first = products_of_models(base, models, owned)
        with np.errstate(invalid="ignore", divide="ignore"):
            slices = joint / np.sqrt(first * first.T)
        frames.append(vectors_frame("whole-model", settings.trained, cosines(whole)))
        frames.append(vectors_frame("neuron-slices", settings.trained, slices))
    provenance = {"spec": settings.spec(), "model": loaded.identity}
    write_frame(task_vectors, pd.concat(frames, ignore_index=True), "task vectors", provenance)
