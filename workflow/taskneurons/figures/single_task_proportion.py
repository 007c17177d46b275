"""Figure 6: the score of single tasks against the proportion of their own neurons that is trained; with intervals."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the single-task proportion table."""
    figure, axes = plt.subplots(figsize=(6, 3.6))
    for number, (task, rows) in enumerate(table.groupby("task", sort=False)):
        colour = plt.cm.tab20(number % 20)
        label = f"{task} ({rows['metric'].iloc[0]})"
        axes.plot(rows["proportion_pct"], rows["value"], "o-", markersize=4, label=label, color=colour)
        axes.fill_between(rows["proportion_pct"], rows["ci_low"], rows["ci_high"], color=colour, alpha=0.15)
    percents = sorted(table["proportion_pct"].unique())
    axes.set_xscale("symlog", linthresh=percents[1], linscale=0.5)  # logarithmic above the smallest, with a place for 0
    axes.set_xticks(percents, [f"{percent:g}" for percent in percents])
    axes.minorticks_off()
    axes.set_xlabel("neurons trained, in percent of all, the best for the task first (0: zero-shot)")
    axes.set_ylabel("score")
    axes.set_ylim(0, 105)
    axes.grid(alpha=0.3)
    axes.legend(bbox_to_anchor=(1.01, 1), loc="upper left", frameon=False, fontsize=8)
    return figure
