"""The loss of a task's target tokens, example by example: what a deactivation raises."""

import torch

from taskneurons.attribution.products import batch_results
from taskneurons.config.settings import Passes
from taskneurons.data.encoding import Batch, Pair, sample_losses
from taskneurons.evaluation.finite import check_finite
from taskneurons.models.loaded import LoadedModel


@torch.no_grad()
def target_losses(loaded: LoadedModel, pairs: list[Pair], passes: Passes, task: str) -> list[float]:
    """L of every example: the mean loss of its target tokens, in nats.

    Args:
        task: whose examples they are, for messages.

    Raises:
        UserError: a loss is not finite.
    """

    def losses(batch: Batch) -> torch.Tensor:
        with loaded.compute.autocast():
            return sample_losses(loaded.model, batch).cpu().double()

    found = [0.0] * len(pairs)
    for rows, values in batch_results(loaded, pairs, passes, losses, None):
        check_finite(values, task)
        for row, value in zip(rows, values.tolist(), strict=True):
            found[row] = value
    return found
