"""EWC: SeqFT whose parameters are held where they were, each by how much it mattered (Kirkpatrick et al. 2017).

The loss has the penalty λ/2 · Σ_i F_i·(θ_i − θ*_i)² beside it. θ* are the parameters after the stage before. F is the
sum over the stages so far of their diagonal empirical Fisher information: the mean, over a task's train examples, of
the squared gradient of a single example's L at the end of the task's stage (online EWC, with nothing faded out). The
knob is λ.

What is kept beside the model is one Fisher for all tasks, counted for the first one.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from taskneurons.continual.method import Answering, Learnt, Stage, State, n_bytes
from taskneurons.continual.whole_model import answering_last, learn_on, model_of
from taskneurons.data.encoding import Pair, at_least_float32, collate, sample_losses
from taskneurons.models.loaded import LoadedModel
from taskneurons.models.tensors_file import Tensors
from taskneurons.training.loop import WholeModel

NAME = "EWC"
LEARNS = "in sequence"
TRAINS = "all parameters"
NEEDS = ()
NEEDS_TASK_ID = False
KNOB = {"name": "penalty", "grid": [1e5, 1e3, 1e7]}

FISHER = "fisher."
MOST = 200  # examples of a task whose gradients are taken: the first of its train split


class Held(WholeModel):
    """All parameters, held where the stage before left them.

    Attributes:
        held: of each parameter: itself, its Fisher information and its value θ*; none at the first stage.
    """

    def __init__(self, model: PreTrainedModel, kept: list[Tensors], strength: float) -> None:
        """
        Args:
            kept: what the stages before kept.
            strength: λ.
        """
        super().__init__(model)
        self.strength = strength
        self.held: list[tuple[torch.nn.Parameter, torch.Tensor, torch.Tensor]] = []
        if kept:
            fisher, before = fisher_of(kept[-1]), model_of(kept[-1])
            for name, parameter in model.named_parameters():
                device = parameter.device
                self.held.append((parameter, fisher[name].to(device), before[name].to(device)))

    def penalty(self, batch: Sequence[Pair]) -> torch.Tensor | None:
        """λ/2 · Σ F·(θ − θ*)²; none where λ is 0, so that no bit differs from SeqFT's."""
        if not self.held or not self.strength:
            return None
        terms = [(fisher * (parameter - before).square()).sum() for parameter, fisher, before in self.held]
        return self.strength / 2 * torch.stack([term.to(terms[0].device) for term in terms]).sum()


def fisher_of(kept: Tensors) -> Tensors:
    """The Fisher information among what a stage kept, by parameter."""
    return {name.removeprefix(FISHER): tensor for name, tensor in kept.items() if name.startswith(FISHER)}


def fisher_information(base: LoadedModel, pairs: list[Pair]) -> Tensors:
    """The diagonal empirical Fisher information of the model as it stands, by parameter: at least float32, on the CPU.

    Args:
        pairs: one or more examples; each one's gradient is squared by itself.
    """
    names, parameters = zip(*base.model.named_parameters(), strict=True)
    sums = [torch.zeros_like(at_least_float32(parameter.detach())) for parameter in parameters]
    for pair in pairs:
        with base.compute.autocast():
            loss = sample_losses(base.model, collate([pair], base.compute.device)).sum()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        for total, gradient in zip(sums, gradients, strict=True):
            total += at_least_float32(gradient).square()
    return {name: total.cpu() / len(pairs) for name, total in zip(names, sums, strict=True)}


def learn(stage: Stage) -> Learnt:
    """Train all parameters from where the stage before ended, held there; and measure how much each mattered."""
    assert stage.settings.knob is not None
    learnt = learn_on(stage, Held(stage.base.model, stage.kept, stage.settings.knob))
    fisher = fisher_information(stage.base, stage.lesson.pairs[:MOST])
    before = fisher_of(stage.kept[-1]) if stage.kept else {}
    kept = {f"{FISHER}{name}": own + before[name] if before else own for name, own in fisher.items()}
    return Learnt(learnt.tensors | kept, learnt.history, learnt.parameters, 0 if stage.kept else n_bytes(kept))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The model of the last stage answers all."""
    return answering_last(state, prompts)
