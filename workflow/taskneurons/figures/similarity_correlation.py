"""The correlation of similarity and generalisation: of every layer, and of the mean over layers by test task."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

METHOD = "mean-vector"
COLOURS = {"pearson": "C0", "spearman": "C1"}
MEASURES = {"score": "score", "loss": "fall of the loss"}


def draw_layers(axes: Axes, rows: pd.DataFrame) -> None:
    """The mean over a group's test tasks of every layer's correlation, with its band."""
    for statistic, colour in COLOURS.items():
        line = rows[rows["statistic"] == statistic]
        layers = line["layers"].astype(int)
        axes.plot(layers, line["value"], "o-", markersize=3, color=colour, label=statistic)
        axes.fill_between(layers, line["ci_low"], line["ci_high"], color=colour, alpha=0.2, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("layer, from the bottom")


def draw_tasks(axes: Axes, rows: pd.DataFrame) -> None:
    """The correlations of the mean over layers: a test task's with its interval, the paper's as crosses."""
    tasks = list(rows["test_task"].unique())
    for shift, (statistic, colour) in zip((-0.12, 0.12), COLOURS.items(), strict=True):
        points = rows[rows["statistic"] == statistic].set_index("test_task").loc[tasks]
        places = [place + shift for place in range(len(tasks))]
        axes.vlines(places, points["ci_low"], points["ci_high"], color=colour)
        axes.plot(places, points["value"], "o", markersize=5, color=colour)
        axes.plot(places, points["paper_llama"], "x", markersize=6, color=colour)
    names = {"mean": "mean of\nthe group"}
    axes.set_xticks(range(len(tasks)), [names.get(task, task) for task in tasks], rotation=40, ha="right")
    axes.set_xlim(-0.6, len(tasks) - 0.4)


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the table; a row of panels a measure, and for each test group layers and test tasks."""
    table = table[table["method"] == METHOD]
    groups, measures = list(table["test_group"].unique()), list(table["measure"].unique())
    figure, panels = plt.subplots(
        len(measures),
        2 * len(groups),
        figsize=(5.6 * len(groups), 3 * len(measures)),
        sharey=True,
        squeeze=False,
        layout="constrained",
        width_ratios=[1.2, 1] * len(groups),
    )
    for line, measure in zip(panels, measures, strict=True):
        for number, group in enumerate(groups):
            rows = table[(table["measure"] == measure) & (table["test_group"] == group)]
            layers, tasks = line[2 * number : 2 * number + 2]
            draw_layers(layers, rows[rows["layers"] != "mean"])
            draw_tasks(tasks, rows[rows["layers"] == "mean"])
            layers.set_title(f"{group} tests, {MEASURES[measure]}: every layer", fontsize=9)
            tasks.set_title(f"mean over layers, n = {rows['n'].max()}", fontsize=9)
            for axes in (layers, tasks):
                axes.axhline(0, color="0.5", linewidth=1)
                axes.set_ylim(-1.05, 1.05)
                axes.grid(alpha=0.3)
        line[0].set_ylabel("correlation")
    handles, labels = panels[0][0].get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color="0.3", marker="x", linestyle=""))
    figure.legend(handles, [*labels, "the paper"], loc="outside lower center", ncols=3, frameon=False)
    return figure
