"""The learning rate of each proportion of a group's neurons, chosen by validation loss.

The rule of choice is neuron tuning's (`tuning/rate_search.py`): a larger set may need a smaller rate, and proportions
that were all trained at one would be compared by how well it suits them. One row a proportion, rate tried and training
task: proportion (percent), learning_rate, task, validation_loss (nats, at the end of the training; infinite where it
diverges), chosen, at_edge (the chosen rate is the smallest or the largest that was tried).
"""

import math
from pathlib import Path

import pandas as pd

from taskneurons.config.settings import RateSearch
from taskneurons.core.errors import UserError
from taskneurons.generalisation.group_tuning import Group, read_group, read_scores, write_trained
from taskneurons.generalisation.proportion_sweep import RATES, SweepSettings, set_of
from taskneurons.selection.overlap_sets import Scores
from taskneurons.training.loop import DivergedError
from taskneurons.tuning.rate_search import search


class SweepRateSettings(SweepSettings):
    """What the rates depend on; the tested tasks are the training tasks, measured on their validation examples."""

    rates: RateSearch


def rates_of(
    percent: float, group: Group, settings: SweepRateSettings, scores: Scores, widths: tuple[int, ...]
) -> pd.DataFrame:
    """The rows of one proportion.

    Raises:
        UserError: the training diverges at every rate.
    """
    what = f"{settings.group} at {percent:g} %"

    def losses_at(rate: float) -> list[float]:
        try:
            found = group.trained(set_of(percent, rate, settings, scores, widths), f"{what}, rate {rate:g}")
        except DivergedError:
            return [math.inf] * len(settings.train)
        losses = found.groupby("task")["value"].mean()
        return [float(losses[task]) if math.isfinite(losses[task]) else math.inf for task in settings.train]

    losses, chosen = search(losses_at, settings.rates)
    if math.inf in losses[chosen]:
        raise UserError(
            f"{what}: at every learning rate ({', '.join(f'{rate:g}' for rate in losses)}) the training diverges: take "
            "smaller ones in neuron_tuning.rates.grid"
        )
    edges = (min(losses), max(losses))
    rows = [
        {"proportion": percent, "learning_rate": rate, "task": task, "validation_loss": loss, "chosen": rate == chosen}
        for rate, of_tasks in losses.items()
        for task, loss in zip(settings.train, of_tasks, strict=True)
    ]
    return pd.DataFrame(rows).assign(at_edge=chosen in edges)


def main(
    settings: SweepRateSettings,
    *,
    base: Path,
    data: list[Path],
    validation: list[Path],
    scores: list[Path],
    checkpoints: Path,
    rates: Path,
) -> None:
    """Choose the rates of all proportions of a group.

    Args:
        scores: of the training tasks, by the base model.
        rates: to write; the others as in `read_group`.
    """
    group = read_group(settings, base, data, validation, validation, checkpoints)
    values, widths = read_scores(scores)
    frames = [rates_of(percent, group, settings, values, widths) for percent in sorted(settings.percents)]
    write_trained(rates, pd.concat(frames, ignore_index=True), RATES, group, group=settings.group)
