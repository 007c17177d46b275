"""The zero-shot rows of Tables 2 and 7: the base model as it is."""

import argparse
from typing import Any

from taskneurons.tables.common import Published, method_row, read_predictions, table_command


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a task. No training is involved: n_seeds is 0."""
    spec, published = arguments.spec, Published(arguments.published)
    tasks = read_predictions(arguments.predictions, spec["tasks"])
    return [{**method_row(one, "zero-shot", ["none"], spec, published), "n_seeds": 0} for one in tasks]


if __name__ == "__main__":
    table_command(
        __doc__,
        {"predictions": "predictions of the base model on every task", "published": "the paper's figures (CSV)"},
        rows,
    )
