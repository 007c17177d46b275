"""The Jaccard overlap of the neurons of any two tasks."""

import pandas as pd
from matplotlib.figure import Figure

from taskneurons.figures.common import heat_map


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the Jaccard table."""
    order = list(table["task"].unique())
    matrix = table.pivot(index="task", columns="other_task", values="value").loc[order, order]
    matrix.index.name = matrix.columns.name = "neurons of"
    return heat_map(matrix, "Jaccard, in percent", "viridis", 0, 100)
