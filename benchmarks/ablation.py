"""Cost of mean ablation beside zero ablation, and of scores from the mean beside the paper's.

Both ablations are measured by the losses of a batch with 10 % of the neurons off, and with 90 %, as where a set is kept
alone. Zero ablation changes weights and adds nothing to the forward; mean ablation replaces outputs as they come.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from common import Row, benchmark, timed
from geometry import CPU, GEOMETRY, build, examples
from taskneurons.attribution.scores import attribute
from taskneurons.config.settings import Scoring
from taskneurons.data.encoding import Pair, collate, sample_losses
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.mean_outputs import MeanOutputs
from taskneurons.neurons.neuron_set import random_set


@torch.no_grad()
def losses(loaded: LoadedModel, pairs: list[Pair], share: float, means: MeanOutputs | None) -> torch.Tensor:
    """L of each sample with a share of the neurons off."""
    sizes = tuple(widths(loaded.model))
    with deactivated(loaded.model, random_set(int(share * sum(sizes)), sizes, seed=0), means):
        return sample_losses(loaded.model, collate(pairs, CPU))


def scores(loaded: LoadedModel, pairs: list[Pair], means: MeanOutputs | None) -> Any:
    """Scores of all neurons."""
    settings = Scoring(batch_size=GEOMETRY["batch"], batch_tokens=1 << 20)
    return attribute(loaded, pairs, settings, np.zeros((0, len(pairs))), None, means)


def rows() -> list[Row]:
    loaded, pairs = build(GEOMETRY), examples(GEOMETRY, GEOMETRY["batch"])
    sizes = tuple(widths(loaded.model))
    means = MeanOutputs(np.random.default_rng(0).normal(size=sum(sizes)), sizes)
    measured: dict[str, Callable[[MeanOutputs | None], Any]] = {
        "mean-10-percent-off/zero": partial(losses, loaded, pairs, 0.1),
        "mean-90-percent-off/zero": partial(losses, loaded, pairs, 0.9),
        "scores-from-mean/zero": partial(scores, loaded, pairs),
    }
    return [timed(f"time/{name}", None, partial(work, means), partial(work, None)) for name, work in measured.items()]


if __name__ == "__main__":
    benchmark("ablation", __doc__, GEOMETRY, rows, [], lambda what: None)
