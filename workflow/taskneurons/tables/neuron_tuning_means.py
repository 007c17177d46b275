"""The means of the neuron tuning table over the classification and over the generation tasks."""

import argparse
from typing import Any

from taskneurons.tables.common import Published, by_kind, means_row, table_command
from taskneurons.tables.neuron_tuning import INPUTS, by_method, without_training


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a kind of task and method."""
    spec, published = arguments.spec, Published(arguments.published)
    result = [
        without_training(method, means_row(method, kind, spec, published))
        for method, tasks in by_method(arguments).items()
        for kind in by_kind(tasks)
    ]
    return sorted(result, key=lambda row: row["kind"])


if __name__ == "__main__":
    table_command(__doc__, {**INPUTS, "published": "the paper's figures (CSV)"}, rows)
