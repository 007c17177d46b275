"""OSF (Nayak et al. 2025, PEFT's tuner): all linear layers are trained outside their largest singular directions.

At each stage every weight that the stage before left is split anew, W = U_high·S_high·V_high + U_low·S_low·V_low. The
high part, a share of the smaller dimension, is kept; U_low, S_low and V_low are trained, and merged into W at the end.
The share grows with the tasks learnt: 0.3, 0.5, 0.7, as in PEFT's continual example of three tasks, and 0.9 from the
fourth on, which is ours. PEFT takes what is not orthogonal to U_high and V_high out of the gradients of U_low and V_low
alone, and AdamW, which scales each entry by itself, brings it back (on a tiny model 7 % of the change after 4 steps);
here it is taken out of the values after each step too, so that the high part is truly kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from peft import OSFConfig
from peft.tuners.osf import OSFLayer, OSFModel
from torch import nn
from transformers import PreTrainedModel

from taskneurons.continual.adapters import remove_peft
from taskneurons.continual.method import Answering, Learnt, Stage, State, n_parameters
from taskneurons.continual.whole_model import answering_last, go_on, kept_model
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import at_least_float32
from taskneurons.neurons.blocks import dense_only, frozen, layers
from taskneurons.training.loop import Trained

NAME = "OSF"
LEARNS = "in sequence"
TRAINS = "all parameters"
NEEDS = ()
NEEDS_TASK_ID = False
KNOB = None

FIRST, GROWTH, MOST = 0.3, 0.2, 0.9
OWN = "adapter"


def preserved_share(learnt: int) -> float:
    """The share of the smaller dimension that is kept at the stage after so many tasks."""
    return min(FIRST + GROWTH * learnt, MOST)


def linear_modules(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The linear modules of all decoder layers, by their paths.

    Raises:
        UserError: PEFT's OSF knows no modules of this family's kind.
    """
    path = dense_only(model, "OSF").layers
    found = {
        f"{path}.{number}.{name}": module
        for number, layer in enumerate(layers(model))
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear)
    }
    if not found:
        raise UserError(
            f"OSF is not available for {model.config.model_type}: PEFT's needs torch's Linear modules, and this family "
            "has others; leave OSF out"
        )
    return found


class LowSubspaces(Trained):
    """U_low, S_low and V_low of PEFT's layers, to be trained in place."""

    def __init__(self, found: list[OSFLayer]) -> None:
        self.layers = found
        self.taken_up = False

    def parameters(self) -> list[nn.Parameter]:
        return [low[name] for low in map(_low, self.layers) for name in ("U_low", "S_low", "V_low")]

    @torch.no_grad()
    def write_back(self) -> None:
        """Take what lies in the high subspaces out of U_low and V_low."""
        if self.taken_up:  # a checkpoint's values have been through this; again would change their last bits
            self.taken_up = False
            return
        for layer in self.layers:
            low = _low(layer)
            low["U_low"].copy_(_outside(low["U_low"], layer._osf_U_high, layer._osf_U_low_init))
            low["V_low"].T.copy_(_outside(low["V_low"].T, layer._osf_V_high, layer._osf_V_low_init, rows=True))

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        self.taken_up = True

    @torch.no_grad()
    def end_stage(self) -> None:
        for layer in self.layers:
            layer.merge()


def _low(layer: OSFLayer) -> dict[str, nn.Parameter]:
    """U_low (outputs, n), S_low (n,) and V_low (n, inputs)."""
    return cast(dict[str, nn.Parameter], layer.osf_svd_params[OWN])


def _outside(vectors: torch.Tensor, high: Any, low: Any, rows: bool = False) -> torch.Tensor:
    """The part of column vectors that is orthogonal to a high subspace.

    Args:
        vectors: (d, n).
        high: PEFT's basis of the high subspace by adapter; it has none where low spans all the rest.
        low: that of the low one at the start.
        rows: whether the bases are rows.
    """
    basis = high[OWN] if OWN in high else low[OWN]
    basis = basis.T if rows else basis
    part = basis @ (basis.T @ vectors)
    return vectors - part if OWN in high else part


@contextmanager
def low_subspaces(model: PreTrainedModel, share: float) -> Iterator[LowSubspaces]:
    """Run the block with PEFT's OSF in the model and all else frozen; what was merged stays in it.

    Args:
        share: of the smaller dimension of each weight, which is kept.

    Raises:
        UserError: OSF is not available for the family.
    """
    modules = linear_modules(model)
    types = [module.weight.dtype for module in modules.values()]
    with frozen(model):
        try:
            for module in modules.values():  # PEFT makes the parameters of the weights' type
                module.weight.data = at_least_float32(module.weight.data)
            OSFModel(model, OSFConfig(effective_rank=share, target_modules=list(modules)), OWN)
            model.train(model.training)
            yield LowSubspaces([cast(OSFLayer, model.get_submodule(path)) for path in modules])
        finally:
            remove_peft(model)
            for module, kind in zip(modules.values(), types, strict=True):
                module.weight.data = module.weight.data.to(kind)


def learn(stage: Stage) -> Learnt:
    """Train the low subspaces of the model that the stage before left, and keep the model."""
    model = stage.base.model
    go_on(stage)
    with low_subspaces(model, preserved_share(len(stage.lessons) - 1)) as trained:
        number = n_parameters(trained)
        history = stage.train(trained)
    return Learnt(kept_model(model), history, number)


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The model of the last stage answers all."""
    return answering_last(state, prompts)
