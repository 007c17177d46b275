"""Train sets of neurons that share a given part with the test tasks' neurons, and test them (Tables 9 to 11).

One row an example of a tested task and set: kind (none: the base model as it is; others as in
`selection/overlap_sets.py`), share, draw, n_neurons, overlap, other, jaccard, mean_score, reason, task, measure (loss,
in nats; score, 0–1), id, value, seed. A set that cannot be made is one row with the reason, and without a value.
"""

from pathlib import Path

import pandas as pd

from taskneurons.core.artifacts import read_provenance
from taskneurons.generalisation.group_tuning import (
    KIND,
    GroupSettings,
    TrainedSet,
    read_group,
    read_scores,
    tune_group,
    write_trained,
)
from taskneurons.selection.overlap_sets import cells, places_of


class AblationSettings(GroupSettings):
    """What the ablation depends on.

    Attributes:
        pair: the name of the pair of groups.
        others: the tasks of the other test groups.
        trained: the proportion of which the union of the training tasks says how many neurons are trained, in percent.
        shares: of the trained neurons, in percent.
        draws: random draws of each cell.
        draw_seed: of the draws.
    """

    pair: str
    others: list[str]
    trained: float
    shares: list[float]
    draws: int
    draw_seed: int


def main(
    settings: AblationSettings,
    *,
    base: Path,
    data: list[Path],
    validation: list[Path],
    tests: list[Path],
    scores: list[Path],
    rates: Path,
    checkpoints: Path,
    measures: Path,
) -> None:
    """Write the measures of all cells of a pair of groups at one proportion.

    Args:
        scores: of the training, test and other tasks, by the base model.
        rates: the learning rate that was chosen for a task's own neurons, at which all sets, of one size, are trained.
        measures: to write; the others as in `read_group`.
    """
    group = read_group(settings, base, data, validation, tests, checkpoints)
    learning_rate = read_provenance(rates, "learning rates")["learning_rate"]
    values, widths = read_scores(scores)
    tasks = {"train": settings.train, "test": settings.test, "others": settings.others}
    places = places_of(values, tasks, settings.trained, widths, settings.scope)
    made, impossible = [], []
    for cell in cells(places, settings.pair, settings.shares, settings.draws, settings.draw_seed):
        columns = {"kind": cell.kind, "share": cell.share, "draw": cell.draw, **cell.columns, "reason": cell.reason}
        if cell.neurons is None:
            impossible.append({**columns, "task": "", "measure": "", "id": -1, "seed": settings.seed})
        else:
            made.append(TrainedSet(columns, cell.neurons, learning_rate))
    frame = tune_group(group, made, f"overlap of {settings.pair} at {settings.trained:g} %")
    frame = pd.concat([frame, pd.DataFrame(impossible)], ignore_index=True)
    frame = frame.astype({"share": "float64"}).fillna({"draw": 0, "reason": ""}).astype({"draw": "int64"})
    write_trained(measures, frame, KIND, group, pair=settings.pair, trained=settings.trained)
