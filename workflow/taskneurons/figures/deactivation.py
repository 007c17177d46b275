"""Bars of every task's score: the original, with random neurons off, with its own neurons off; with intervals."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from taskneurons.figures.common import figure_command

COLOURS = {"original": "#4c566a", "deactivate-random": "#8fbcdb", "deactivate-task": "#c8553d"}


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the deactivation table."""
    tasks = list(table["task"].unique())
    figure, axes = plt.subplots(figsize=(2 + 0.75 * len(tasks), 3.6))
    places = np.arange(len(tasks))
    for number, (method, colour) in enumerate(COLOURS.items()):
        rows = table[table["method"] == method].set_index("task").loc[tasks]
        errors = np.abs(np.stack([rows["value"] - rows["ci_low"], rows["ci_high"] - rows["value"]]))
        axes.bar(
            places + 0.27 * (number - 1), rows["value"], 0.25, yerr=errors, label=method, color=colour, capsize=1.5
        )
    metrics = table.drop_duplicates("task").set_index("task")["metric"]
    axes.set_xticks(places, [f"{task}\n({metrics[task]})" for task in tasks], rotation=40, ha="right")
    axes.set_ylabel("score")
    axes.set_ylim(0, 105)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=3, frameon=False)
    return figure


if __name__ == "__main__":
    figure_command(__doc__, draw)
