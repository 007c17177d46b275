"""Table 5: every method's accuracy at the end, with intervals and the paper's values, and beside it what it keeps."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from taskneurons.tables.continual_runs import MEAN, summary

NEEDS_ID, WITHOUT_ID, PAPER = "#c8553d", "#2b6f9e", "0.2"
EXAMPLES, NO_EXAMPLES = "s", "o"  # markers of methods that keep examples, and of the others
UNITS = {0: "1 B", 3: "1 kB", 6: "1 MB", 9: "1 GB", 12: "1 TB"}  # power of ten of the bytes → its tick
ZERO = (-2.2, -0.6)  # where what keeps nothing stands, in powers of ten below the smallest that is kept


def look(row: pd.Series) -> dict[str, Any]:
    """The colour and marker of a method."""
    return {
        "color": NEEDS_ID if row["needs_task_id"] else WITHOUT_ID,
        "marker": EXAMPLES if row["keeps_examples"] else NO_EXAMPLES,
    }


def draw_accuracies(axes: Axes, rows: pd.DataFrame, orders: pd.DataFrame) -> None:
    """A point with its interval a method, its single orders small below it, a cross for the paper's value.

    Args:
        rows: one a method.
        orders: the rows of the single orders, if there are several.
    """
    for height, (_, row) in enumerate(rows.iterrows()):
        own = orders[orders["method"] == row["method"]]
        axes.scatter(own["value"], [height + 0.3] * len(own), s=8, alpha=0.5, linewidths=0, **look(row))
        axes.plot([row["ci_low"], row["ci_high"]], [height, height], "-", color=look(row)["color"], linewidth=1.5)
        axes.plot(row["value"], height, markersize=5, linestyle="", **look(row))
        axes.plot(row["paper_llama"], height, "x", color=PAPER, markersize=6)
    names = [f"{method}  {number}" for number, method in enumerate(rows["method"], 1)]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("accuracy after the last task, mean over tasks, in points")
    axes.grid(alpha=0.3)


def draw_kept(axes: Axes, rows: pd.DataFrame) -> None:
    """The accuracy against the bytes a task, a point a method with its number; what keeps nothing stands in a band."""
    numbers = pd.Series(range(1, len(rows) + 1), index=rows.index)
    kept = rows.dropna(subset=["bytes_per_task"])
    places = np.log10(kept["bytes_per_task"].where(kept["bytes_per_task"] > 0))
    lowest, highest = (np.floor(places.min()), places.max()) if places.notna().any() else (0.0, 0.0)
    left, right = lowest + ZERO[0], lowest + ZERO[1]
    nothing = kept.index[places.isna()]
    places[nothing] = np.linspace(left, right, len(nothing) + 2)[1:-1]  # side by side, for what is alike
    axes.axvspan(left, right, color="0.93", linewidth=0)
    for index, row in kept.iterrows():
        error = [[row["value"] - row["ci_low"]], [row["ci_high"] - row["value"]]]
        axes.errorbar(places[index], row["value"], error, linewidth=0.8, alpha=0.9, markersize=4, **look(row))
        aside, side = ((3, 3), "left") if numbers[index] % 2 else ((-3, 3), "right")  # neighbours' numbers stay apart
        point = (places[index], row["value"])
        axes.annotate(str(numbers[index]), point, aside, textcoords="offset points", ha=side, fontsize=7)
    powers = [power for power in UNITS if lowest <= power <= highest + 1]
    axes.set_xticks([(left + right) / 2, *powers], ["0", *(UNITS[power] for power in powers)])
    axes.set_xlim(left - 0.2, highest + 0.6)
    axes.set_xlabel("kept for each task besides the model")
    axes.set_ylabel("accuracy, in points")
    axes.grid(alpha=0.3)


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the continual learning table: a row a benchmark, the means over its orders."""
    table = table[table["measure"] == "label"]
    benchmarks = list(table["benchmark"].unique())
    means = summary(table)
    height = 1.3 + 0.23 * table["method"].nunique()
    figure, panels = plt.subplots(
        len(benchmarks), 2, figsize=(10.5, height * len(benchmarks)), squeeze=False, layout="constrained"
    )
    for (left, right), benchmark in zip(panels, benchmarks, strict=True):
        rows = means[means["benchmark"] == benchmark].reset_index(drop=True)
        orders = table[(table["benchmark"] == benchmark) & (table["order"] != MEAN)]
        draw_accuracies(left, rows, orders if rows["order"].iloc[0] == MEAN else orders.head(0))
        draw_kept(right, rows)
        number = rows["n_orders"].max()
        left.set_title(f"{benchmark}: {number} order{'s' if number > 1 else ''} of {rows['n_tasks'].iloc[0]} tasks")
        right.set_title(benchmark)
    handles = [
        plt.Line2D([], [], color=WITHOUT_ID, marker=NO_EXAMPLES, linestyle="", label="without the task's identity"),
        plt.Line2D([], [], color=NEEDS_ID, marker=NO_EXAMPLES, linestyle="", label="given the task's identity"),
        plt.Line2D([], [], color="0.4", marker=EXAMPLES, linestyle="", label="keeps examples"),
        plt.Line2D([], [], color=PAPER, marker="x", linestyle="", label="the paper, Llama-2-7b"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure
