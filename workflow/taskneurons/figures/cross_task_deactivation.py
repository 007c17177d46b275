"""Figure 5: the change of every task's score (columns) when each task's neurons (rows) are off."""

import pandas as pd
from matplotlib.figure import Figure

from taskneurons.figures.common import heat_map


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the cross-task table."""
    order = list(table["task"].unique())
    matrix = table.pivot(index="masked_task", columns="task", values="change").loc[order, order]
    matrix.index.name, matrix.columns.name = "neurons switched off", "task tested"
    return heat_map(matrix, "change of the score, in points", "RdBu", -100, 100)
