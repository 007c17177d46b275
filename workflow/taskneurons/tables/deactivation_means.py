"""The means of the deactivation table over the classification and over the generation tasks."""

import argparse
from typing import Any

from taskneurons.tables.common import Published, by_kind, means_row, read_predictions, table_command
from taskneurons.tables.deactivation import METHODS


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a method and kind of task."""
    spec, published = arguments.spec, Published(arguments.published)
    kinds = by_kind(read_predictions(arguments.predictions, spec["tasks"]))
    return [means_row(method, tasks, spec, published) for tasks in kinds for method in METHODS]


if __name__ == "__main__":
    table_command(
        __doc__,
        {"predictions": "predictions of the originals on every task", "published": "the paper's figures (CSV)"},
        rows,
    )
