"""Neurons trained together of which each task's examples train only that task's: the other reading of Figure 2."""

from collections.abc import Sequence

import torch

from taskneurons.config.settings import LoopSettings
from taskneurons.data.batches import by_length
from taskneurons.data.encoding import Pair, collate, sample_losses
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.training.loop import Trained
from taskneurons.tuning.trained_neurons import TrainedNeurons, slices_of


class RoutedNeurons(Trained):
    """The union of several tasks' neurons; an example's loss has a gradient for its own task's alone.

    The loop makes the gradients of whole batches. They are thrown away and made anew, task by task, so that a step
    takes twice as long (and dropout, where a model has it, is drawn anew). A neuron whose tasks have no example in a
    batch has the gradient 0 there, and moves on by the optimiser's momentum and weight decay, as any neuron of which a
    batch says nothing.

    Attributes:
        task_of: identity of a pair → its task. Two tasks may have equal pairs, which are different objects.
        rows: task → for each part, which of its rows belong to the task's own neurons: bool (n,).
    """

    def __init__(
        self,
        neurons: TrainedNeurons,
        own: dict[str, NeuronSet],
        pairs: dict[str, list[Pair]],
        base: LoadedModel,
        settings: LoopSettings,
    ) -> None:
        """
        Args:
            neurons: the union, in training.
            own: task → its own neurons.
            pairs: task → its examples; the very objects that the loop is given.
        """
        self.neurons, self.base, self.settings = neurons, base, settings
        self.task_of = {id(pair): task for task, examples in pairs.items() for pair in examples}
        self.rows = {task: self._rows_of(chosen) for task, chosen in own.items()}

    def _rows_of(self, own: NeuronSet) -> list[torch.Tensor]:
        indices = {one.name: one.index for _, slices in slices_of(self.base.model, own) for one in slices}
        return [torch.isin(one.index, indices.get(one.name, one.index[:0])) for one in self.neurons.slices]

    def parameters(self) -> list[torch.nn.Parameter]:
        return self.neurons.parameters()

    def write_back(self) -> None:
        self.neurons.write_back()

    def penalty(self, batch: Sequence[Pair]) -> None:
        """Put the gradients of the batch's loss anew, each task's for its own neurons; there is no penalty."""
        parts = self.parameters()
        found = [torch.zeros_like(part) for part in parts]
        for task, rows in self.rows.items():
            own = [pair for pair in batch if self.task_of[id(pair)] == task]
            if own:
                self._clear()
                self._backward(own, len(batch))
                for gradient, part, chosen in zip(found, parts, rows, strict=True):
                    if part.grad is not None:
                        gradient[chosen] += part.grad[chosen]
        for part, gradient in zip(parts, found, strict=True):
            part.grad = gradient

    def _clear(self) -> None:
        for part in self.parameters():
            part.grad = None

    def _backward(self, pairs: Sequence[Pair], size: int) -> None:
        """Add the gradients of the pairs' share of the loss of a batch of `size` examples."""
        lengths = [len(prompt) + len(target) for prompt, target in pairs]
        for chosen in by_length(lengths, len(pairs), self.settings.batch_tokens):
            with self.base.compute.autocast():
                batch = collate([pairs[row] for row in chosen], self.base.compute.device)
                loss = sample_losses(self.base.model, batch).sum() / size
            loss.backward()
