"""How well each predictor tells transfer between tasks: rank correlations with intervals, best first."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIGNIFICANT = 0.05
# The columns of value, interval and p → how far below a predictor's line it is drawn, its colour and what it is.
LINES = {
    ("spearman", "ci_low", "ci_high", "p"): (-0.13, "C0", "source and target means taken out"),
    ("partial", "partial_ci_low", "partial_ci_high", "partial_p"): (
        0.17,
        "#9ecae1",
        "and what same family and same kind explain",
    ),
}
SOME_TASKS = "★"  # behind predictors that some of the tasks alone have


def draw_lines(axes: Axes, rows: pd.DataFrame) -> None:
    """Two dots with their intervals a predictor, filled where p < SIGNIFICANT."""
    for columns, (below, colour, label) in LINES.items():
        for height, values in enumerate(rows[list(columns)].to_numpy(dtype=float)):
            value, low, high, p = values
            if np.isnan(value):
                continue
            place = height + below
            axes.plot([low, high], [place, place], "-", color=colour, linewidth=1.5)
            face = colour if p < SIGNIFICANT else "white"
            axes.plot(value, place, "o", color=colour, markerfacecolor=face, markersize=5)
        axes.plot([], [], "o-", color=colour, label=label)
    axes.plot([], [], "o", color="0.35", markerfacecolor="white", label=f"p ≥ {SIGNIFICANT}")


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the table: transfer by losses, from the neuron tunings."""
    rows = table[(table["transfer"] == "neuron-tuning") & (table["measure"] == "loss")]
    rows = rows.sort_values("spearman", ascending=False, na_position="last")
    most = rows["n_tasks"].max()
    names = [
        f"{one.predictor} ({one.cost}){f' {SOME_TASKS}' if one.n_tasks < most else ''}" for one in rows.itertuples()
    ]
    figure, axes = plt.subplots(figsize=(7.2, 1.5 + 0.36 * len(rows)), layout="constrained")
    axes.axvline(0, color="0.7", linewidth=1)
    draw_lines(axes, rows)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-1.02, 1.02)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"rank correlation with the fall of the target's loss, {most} tasks")
    if (rows["n_tasks"] < most).any():
        axes.set_title(f"{SOME_TASKS} of fewer tasks", fontsize=8, loc="right")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure
