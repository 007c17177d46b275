"""How well each criterion agrees with the exact effects: Spearman's correlation and recall, one dot a task."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the faithfulness table."""
    states, criteria = list(table["state"].unique()), list(table["criterion"].unique())
    figure, panels = plt.subplots(1, 2, figsize=(9, 0.9 + 0.42 * len(criteria)), sharey=True, layout="constrained")
    for axes, (measure, label) in zip(
        panels, (("spearman", "Spearman's correlation"), ("recall", "recall of the most important")), strict=True
    ):
        for number, state in enumerate(states):
            rows = table[table["state"] == state]
            height = rows["criterion"].map(criteria.index) + 0.3 * (number - (len(states) - 1) / 2)
            colour = f"C{number}"
            axes.plot(rows[measure], height, "o", color=colour, alpha=0.35, markersize=4)
            means = rows.groupby("criterion", sort=False)[measure].mean().loc[criteria]
            positions = np.arange(len(criteria)) + 0.3 * (number - (len(states) - 1) / 2)
            axes.plot(means, positions, "|", color=colour, markersize=12, markeredgewidth=2, label=state)
        axes.set_xlabel(label)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(criteria)), criteria)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(states), frameon=False)
    return figure
