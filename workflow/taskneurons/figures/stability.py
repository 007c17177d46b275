"""The agreement of masks from disjoint sets of examples, against the number of examples; one line a task."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the stability table."""
    figure, axes = plt.subplots(figsize=(6.5, 3.8))
    for number, (task, rows) in enumerate(table.groupby("task", sort=False)):
        axes.plot(rows["n_examples"], rows["value"], "o-", markersize=3, label=task, color=plt.cm.tab20(number % 20))
        axes.fill_between(
            rows["n_examples"], rows["smallest"], rows["largest"], color=plt.cm.tab20(number % 20), alpha=0.1
        )
    axes.axhline(table["chance"].mean(), color="grey", linestyle=":", label="chance")
    sizes = sorted(table["n_examples"].unique())
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("examples in each of two disjoint sets")
    axes.set_ylabel("Jaccard, in percent")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend(bbox_to_anchor=(1.01, 1), loc="upper left", frameon=False, fontsize=8)
    return figure
