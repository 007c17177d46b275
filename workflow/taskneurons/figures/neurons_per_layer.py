"""The share of each layer's neurons that belong to each task."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the neurons-per-layer table: one line a task."""
    figure, axes = plt.subplots(figsize=(6.5, 3.6))
    colours = plt.get_cmap("tab20")
    for number, (task, rows) in enumerate(table.groupby("task", sort=False)):
        axes.plot(rows["layer"], rows["value"], marker=".", label=task, color=colours(number % 20))
    axes.set_xlabel("layer, from the bottom")
    axes.set_ylabel("% of the layer's neurons")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    return figure
