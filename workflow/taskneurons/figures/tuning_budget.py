"""The validation loss of each kind of set against the steps, at both learning rates, and against k."""

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


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the tuning budget table; without other k it has no panel for them."""
    steps, over_k = table[table["curve"] == "steps"], table[table["curve"] == "k"]
    rates = [rate for rate in RATES if rate in set(steps["rate"])]
    number = len(rates) + (not over_k.empty)
    figure, panels = plt.subplots(1, number, figsize=(3.6 * number, 3.6), squeeze=False, layout="constrained")
    for axes, rate in zip(panels[0], rates, strict=False):
        _lines(axes, steps[steps["rate"] == rate], "steps")
        axes.set_title(f"{RATES[rate]}, k = {steps['k'].iloc[0]:g} %", fontsize=9)
        axes.set_xlabel("steps of the training")
    if not over_k.empty:
        axes = panels[0][-1]
        _lines(axes, over_k, "k")
        sizes = sorted(over_k["k"].unique())
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{k:g}" for k in sizes])
        axes.minorticks_off()
        axes.set_title(f"{RATES['tuned']}, {over_k['n_tasks'].iloc[0]} tasks", fontsize=9)
        axes.set_xlabel("k, percent of all neurons")
    panels[0][0].set_ylabel("validation loss, nats a token")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure
