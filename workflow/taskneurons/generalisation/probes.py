"""What the untrained model makes of a few examples of a task: features, gradients, activated neurons.

One row an entry of a vector: kind, index, value. The kinds, each a mean over the examples:
- features: the mean hidden state of the last layer (as TextEmb, Vu et al. 2020);
- gradient: ∂L/∂θ of all parameters, L the mean loss of an example's target tokens; as a count sketch;
- fisher: its element-wise square, the diagonal of the empirical Fisher information (as TaskEmb, Vu et al. 2020, taken
  of the model before fine-tuning); as a count sketch;
- activation: |ω| of every neuron, mean over tokens.
"""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch

from taskneurons.attribution.criteria import activation
from taskneurons.attribution.measuring import CriterionSettings
from taskneurons.attribution.products import in_compute_dtype
from taskneurons.config.settings import DeviceSettings, Passes, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.core.progress import progress
from taskneurons.data.encoding import Batch, Pair, at_least_float32, collate, sample_losses
from taskneurons.data.task import read_task
from taskneurons.generalisation.features import mean_features
from taskneurons.generalisation.sketches import WIDTH, sketch
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.blocks import widths

FEATURES, GRADIENT, FISHER, ACTIVATION = "features", "gradient", "fisher", "activation"


class ProbeSettings(StepSettings):
    """What the vectors depend on; `examples` of the attribution split, the first ones."""

    examples: int
    passes: Passes
    compute: DeviceSettings


def gradient_sketches(model: torch.nn.Module, batch: Batch, scale: float = 1.0) -> torch.Tensor:
    """Sketches of the gradient of the sum of a batch's L and of its element-wise square: (2, WIDTH).

    A parameter's gradient is sketched and let go as soon as the backward has it, so that no more than one is held.

    Args:
        scale: the loss is multiplied by it before the backward, so that small gradients survive in float16.
    """
    found = torch.zeros(2, WIDTH, dtype=torch.float64)

    def take(name: str, parameter: torch.Tensor) -> None:
        gradient = at_least_float32(cast(torch.Tensor, parameter.grad))
        parameter.grad = None
        found[0] += sketch(gradient, name)
        found[1] += sketch(gradient.square(), name)

    with ExitStack() as stack, torch.enable_grad():
        for name, parameter in model.named_parameters():
            hook = parameter.register_post_accumulate_grad_hook(partial(take, name))
            stack.callback(hook.remove)
        (sample_losses(model, batch).sum() * scale).backward()
    return found / torch.tensor([[scale], [scale**2]], dtype=torch.float64)


def mean_sketches(loaded: LoadedModel, pairs: list[Pair], what: str) -> np.ndarray:
    """The sketches of the mean gradient and of the mean squared gradient of single examples: (2, WIDTH), float64.

    Args:
        what: the name of the progress bar.
    """
    total = torch.zeros(2, WIDTH, dtype=torch.float64)
    for pair in progress(pairs, what, len(pairs)):
        sketches_at = partial(gradient_sketches, loaded.model, collate([pair], loaded.compute.device))
        total += in_compute_dtype(loaded, sketches_at)
    return (total / len(pairs)).numpy()


def main(settings: ProbeSettings, *, model: Path, data: Path, probes: Path) -> None:
    """Write a task's vectors.

    Args:
        data: its attribution split.
    """
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    pairs = [example.pair for example in task.encoded(loaded.tokenizer)[: settings.examples]]
    gradient, fisher = mean_sketches(loaded, pairs, f"gradients {task.key}")
    vectors = {
        FEATURES: mean_features(loaded, pairs, settings.passes).mean(dim=0).numpy(),
        GRADIENT: gradient,
        FISHER: fisher,
        ACTIVATION: activation.values(loaded, pairs, CriterionSettings(**settings.passes.model_dump())),
    }
    frames = [
        pd.DataFrame({"kind": kind, "index": np.arange(len(values)), "value": values})
        for kind, values in vectors.items()
    ]
    provenance = {"spec": settings.spec(), **loaded.provenance_on(task), "widths": widths(loaded.model)}
    write_frame(probes, pd.concat(frames, ignore_index=True), "probes", provenance)
