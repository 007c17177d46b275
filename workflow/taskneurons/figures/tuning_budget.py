"""The validation loss of each kind of set against the steps, and against k, at both learning rates."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

COLOURS = {
    "random": "#8fbcdb",
    "own": "#5b9a5b",
    "contrastive": "#c8553d",
    "other-family": "#b58900",
    "without-universal": "#6c4f9e",
}
WIDE = 5  # where the largest loss is more than so many times the smallest, the axis is logarithmic
RATES = {"tuned": "at each kind's tuned rate", "common": "at the common rate"}


def _lines(axes: Axes, rows: pd.DataFrame, along: str) -> None:
    """One line a kind of set."""
    for kind, colour in COLOURS.items():
        of_kind = rows[rows["kind"] == kind].sort_values(along)
        if len(of_kind):
            axes.plot(of_kind[along], of_kind["value"], "o-", markersize=4, label=kind, color=colour)
    axes.grid(alpha=0.3)
    if rows["value"].max() > WIDE * rows["value"].min() > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())


def _sizes(axes: Axes, sizes: list[float]) -> None:
    """The axis of k."""
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{k:g}" for k in sizes])
    axes.minorticks_off()
    axes.set_xlabel("k, percent of all neurons")


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the tuning budget table; without other k it has no panels for them."""
    curves = [
        (curve, rate, rows)
        for curve in ("steps", "k")
        for rate in RATES
        if len(rows := table[(table["curve"] == curve) & (table["rate"] == rate)])
    ]
    figure, panels = plt.subplots(1, len(curves), figsize=(3.4 * len(curves), 3.6), squeeze=False, layout="constrained")
    for axes, (curve, rate, rows) in zip(panels[0], curves, strict=True):
        _lines(axes, rows, curve)
        if curve == "steps":
            axes.set_title(f"{RATES[rate]}, k = {rows['k'].iloc[0]:g} %", fontsize=9)
            axes.set_xlabel("steps of the training")
        else:
            _sizes(axes, sorted(rows["k"].unique()))
            axes.set_title(f"{RATES[rate]}, {rows['n_tasks'].iloc[0]} tasks", fontsize=9)
    panels[0][0].set_ylabel("validation loss, nats a token")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure
