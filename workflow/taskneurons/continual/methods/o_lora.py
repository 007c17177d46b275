"""O-LoRA (Wang et al. 2023): a LoRA for each task, which is kept orthogonal to those of the tasks before.

The earlier adapters are frozen and active, in training and in testing. λ1 times a sum over A_old·A_newᵀ joins the loss:
of the absolute values, as the authors' code does, or of the squares, as their paper writes it. Their λ2 is 0 and left
out. They train the first task at another learning rate than the others; here all stages have the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch

from taskneurons.continual.adapters import (
    A,
    Parameters,
    TrainedAdapter,
    adapters_put,
    learn_adapter,
    new_adapter,
    query_and_value,
)
from taskneurons.continual.method import Answering, Learnt, Stage, State, everything, n_bytes
from taskneurons.data.encoding import Pair
from taskneurons.models.tensors_file import Tensors

NAME = "O-LoRA"
LEARNS = "in sequence"
TRAINS = "adapters"
NEEDS = ("all stages",)
NEEDS_TASK_ID = False
KNOB = {"name": "orthogonality", "grid": [0.5, 0.0, 5.0]}

Norm = Literal["absolute", "squared"]
# The switch: "absolute" is Σ|·|, as in the authors' code; "squared" is the squared Frobenius norm, as in their paper.
NORM: Norm = "absolute"


def overlap(old: Sequence[Tensors | Parameters], new: Tensors | Parameters, norm: Norm = NORM) -> torch.Tensor:
    """Σ|A_old·A_newᵀ|, or the sum of the squares, over all modules and earlier adapters; a scalar."""
    products = [
        tensor @ new[name].T for adapter in old for name, tensor in adapter.items() if name.startswith(A)
    ]  # (r, r) each
    sums = [product.abs().sum() if norm == "absolute" else product.square().sum() for product in products]
    return torch.stack([one.to(sums[0].device) for one in sums]).sum()


class OrthogonalAdapter(TrainedAdapter):
    """An adapter whose overlap with earlier ones is penalised.

    Attributes:
        old: the earlier adapters.
        weight: λ1.
    """

    def __init__(self, own: Parameters, old: Sequence[Parameters], weight: float) -> None:
        super().__init__(own)
        self.old = old
        self.weight = weight

    def penalty(self, batch: Sequence[Pair]) -> torch.Tensor | None:
        return self.weight * overlap(self.old, self.own) if self.old and self.weight else None


def learn(stage: Stage) -> Learnt:
    """Train a new adapter beside the frozen ones of the tasks before."""
    assert stage.settings.knob is not None
    model = stage.base.model
    with adapters_put(model, [*stage.kept, new_adapter(stage, query_and_value(model))]) as (*old, own):
        learnt = learn_adapter(stage, OrthogonalAdapter(own, old, stage.settings.knob))
    return replace(learnt, kept_bytes=n_bytes(learnt.tensors))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The base model with the adapters of all tasks answers all."""
    with adapters_put(state.base.model, state.kept):
        yield everything(prompts)
