"""Draw random neurons, as many as a task has: the control of every deactivation and of neuron tuning.

The numbers are matched over all layers together or, with `random_scope` per-layer, with those of the mask in every
layer. Under one k all tasks have the same number of neurons in all layers together, so that one draw serves all of
them; those in each layer differ, so that each task gets draws of its own.
"""

from pathlib import Path

from taskneurons.config.settings import StepSettings
from taskneurons.neurons.mask_file import of_model, read_mask, write_mask
from taskneurons.neurons.neuron_set import random_in_layers, random_set


class RandomSettings(StepSettings):
    """What a random set depends on."""

    draws: list[int]
    random_scope: str
    seed: int


def main(settings: RandomSettings, *, like: Path, masks: list[Path]) -> None:
    """Write random sets with as many neurons as the mask `like`, one a draw."""
    example, provenance = read_mask(like)
    for draw, mask in zip(settings.draws, masks, strict=True):
        seed = [settings.seed, draw]
        if settings.random_scope == "per-layer":
            neurons = random_in_layers(example.counts(), example.widths, seed)
        else:
            neurons = random_set(len(example), example.widths, seed)
        name = {"set": f"random-{draw}", "rule": "random", "k": provenance["k"], "draw": draw}
        made = {"spec": settings.spec(), **name, **of_model(provenance), "reference": None}  # no scores chose them
        write_mask(mask, neurons, provenance["experts"], None, made)
