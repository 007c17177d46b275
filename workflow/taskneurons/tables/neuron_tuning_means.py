"""The means of the neuron tuning table over the classification and over the generation tasks."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import Published, TableSettings, by_kind, means_row
from taskneurons.tables.neuron_tuning import cells, with_rate


def rows(
    settings: TableSettings, *, base_predictions: list[Path], tuned_predictions: list[Path], published: Path
) -> list[dict[str, Any]]:
    """One row a kind of task, method and learning rate."""
    figures = Published(published)
    result = []
    for method, rate, tasks, chosen in cells(settings, base_predictions, tuned_predictions):
        conditions = dict(zip((one.task for one in tasks), chosen, strict=True))
        for kind in by_kind(tasks):
            names = [conditions[one.task] for one in kind]
            result.append(with_rate(means_row(method, kind, names, settings, figures), rate, kind[0], names[0]))
    return sorted(result, key=lambda row: row["kind"])
