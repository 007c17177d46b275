"""Figure 5: the change of every task's score when each task's neurons are off (above) or trained (below).

Left the classification tasks, right the generation tasks; rows are the task whose neurons they are, columns the task
tested. Trained are task i's neurons on task i's data.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from taskneurons.figures.common import draw_heat_map
from taskneurons.tables.common import KINDS


def panel(table: pd.DataFrame, rows: str, metric: str) -> pd.DataFrame:
    """The matrix of changes among the tasks of one metric."""
    table = table[table["metric"] == metric]
    order = list(table["task"].unique())
    matrix = table.pivot(index=rows, columns="task", values="change").loc[order, order]
    matrix.index.name, matrix.columns.name = f"neurons {'off' if rows == 'masked_task' else 'trained'}", "task tested"
    return matrix


def draw(deactivation: pd.DataFrame, tuning: pd.DataFrame) -> Figure:
    """The figure of the two cross-task tables; a kind of task that the run does not have is left out."""
    tuning = tuning[tuning["reading"] == "own-data"]
    metrics = [metric for metric in KINDS if metric in set(tuning["metric"])]
    figure, panels = plt.subplots(
        2, len(metrics), figsize=(1.2 + 4.6 * len(metrics), 7.6), squeeze=False, layout="constrained"
    )
    for row, (table, name) in enumerate(((deactivation, "masked_task"), (tuning, "tuned_task"))):
        for axes, metric in zip(panels[row], metrics, strict=True):
            image = draw_heat_map(axes, panel(table, name, metric), "RdBu", -100, 100)
            axes.set_title(f"{'deactivation' if row == 0 else 'neuron tuning'}, {KINDS[metric]}", fontsize=9)
    figure.colorbar(image, ax=panels, label="change of the score, in points", shrink=0.6)
    return figure
