"""The similarity of parameters by layer: a panel a test group and set of models, the band of random sets in grey."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS = {"mean-vector": "C0", "mean-vector-without-shared": "C2", "zero-filled": "C1"}
MAIN = "mean-vector"


def draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    """One panel: the means over test tasks by every method with intervals, and each test task by the main one."""
    for method, colour in COLOURS.items():
        mean = rows[(rows["method"] == method) & (rows["test_task"] == "mean")].sort_values("layer")
        layers, main = mean["layer"], method == MAIN
        if main:
            axes.fill_between(
                layers, mean["null_low"], mean["null_high"], color="0.8", linewidth=0, label="random sets"
            )
        else:
            axes.plot(layers, mean["null_mean"], ":", linewidth=1, color=colour, label="_")
        axes.fill_between(
            layers, mean["ci_low"], mean["ci_high"], color=colour, alpha=0.3 if main else 0.1, linewidth=0
        )
        width, line = (2, "o-") if main else (1, "--")
        axes.plot(layers, mean["value"], line, markersize=3, linewidth=width, color=colour, label=method)
    tasks = rows[(rows["method"] == MAIN) & (rows["test_task"] != "mean")]
    drawn = []
    for number, (task, line) in enumerate(tasks.groupby("test_task", sort=False)):
        style = ("-", "-.", ":")[number % 3]
        drawn += axes.plot(line["layer"], line["value"], style, linewidth=0.8, color="black", alpha=0.6, label=task)
    axes.legend(handles=drawn, fontsize=7, frameon=False)
    axes.set_xlabel("layer, from the bottom")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the similarity table, of all matrices together."""
    table = table[table["matrix"] == "together"]
    groups = list(table.groupby(["test_group", "models"], sort=False))
    figure, panels = plt.subplots(
        1, len(groups), figsize=(3.6 * len(groups), 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    for letter, axes, ((group, models), rows) in zip("abcdefghijklmnopqrstuvwxyz", panels[0], groups, strict=False):
        number = rows["n_models"].max()
        inside = "all models" if models == "all" else f"the models of {models}"
        axes.set_title(f"({letter}) {group} tests inside {inside} ({number})", fontsize=9)
        draw_panel(axes, rows)
    panels[0][0].set_ylabel("cosine")
    handles, labels = panels[0][0].get_legend_handles_labels()
    shared = {
        label: handle for handle, label in zip(handles, labels, strict=True) if label in ("random sets", *COLOURS)
    }
    figure.legend(shared.values(), shared.keys(), loc="outside lower center", ncols=len(shared), frameon=False)
    return figure
