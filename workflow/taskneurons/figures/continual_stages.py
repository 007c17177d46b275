"""Figure 4: what is kept of the tasks learnt before, over the stages; a line a method, a panel a benchmark."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from taskneurons.tables.continual_runs import summary

MARKERS = "osD^v<>Pp*"


def draw_panel(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    """One panel: FG by stage with intervals, the methods side by side."""
    for number, method in enumerate(methods):
        line = rows[rows["method"] == method].dropna(subset=["fg"]).groupby("stage").mean(numeric_only=True)
        if line.empty:
            continue
        aside = 0.3 * (number / max(len(methods) - 1, 1) - 0.5)  # or intervals would hide each other
        errors = [line["fg"] - line["fg_ci_low"], line["fg_ci_high"] - line["fg"]]
        axes.errorbar(
            line.index + aside,
            line["fg"],
            errors,
            color=plt.cm.tab20(number % 20),
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linewidth=1.2,
            elinewidth=0.6,
            label=method,
        )
    axes.axhline(100, color="0.6", linewidth=0.8, linestyle=":")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("stage")
    axes.grid(alpha=0.3)


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the table of stages, of the means over orders."""
    table = summary(table)
    benchmarks = list(table["benchmark"].unique())
    methods = list(table["method"].unique())
    figure, panels = plt.subplots(
        1, len(benchmarks), figsize=(5.2 * len(benchmarks), 4.6), squeeze=False, layout="constrained"
    )
    for axes, benchmark in zip(panels[0], benchmarks, strict=True):
        draw_panel(axes, table[table["benchmark"] == benchmark], methods)
        axes.set_title(benchmark)
    panels[0][0].set_ylabel("FG: accuracy on earlier tasks, percent of training\non the task alone, mean over tasks")
    drawn = [axes.get_legend_handles_labels() for axes in panels[0]]
    shown = {label: handle for handles, labels in drawn for handle, label in zip(handles, labels, strict=True)}
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=6, fontsize=7, frameon=False)
    return figure
