"""Where families' neurons and the hubs lie, layer by layer, as multiples of chance where that is one number."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from taskneurons.tables.hubs import HUBS


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the hubs table: families on the left, hubs on the right, each with intervals and chance."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    colours = plt.get_cmap("tab10")
    families = table[table["group"] != HUBS]
    for number, (family, rows) in enumerate(families.groupby("group", sort=False)):
        _line(left, rows, str(family), colours(number % 10))
    left.axhline(families["chance"].iloc[0], color="black", linestyle=":", label="chance")
    left.set_title("families' top k")
    hubs = table[table["group"] == HUBS]
    _line(right, hubs, "hubs", "black")
    right.plot(hubs["layer"], hubs["chance"], color="black", linestyle=":", label="chance")
    right.set_title("hubs: in at least half of all tasks' top k")
    for axes in (left, right):
        axes.set_xlabel("layer, from the bottom")
        axes.set_ylabel("% of the layer's neurons")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=7)
    return figure


def _line(axes: Axes, rows: pd.DataFrame, label: str, colour: object) -> None:
    axes.plot(rows["layer"], rows["value"], marker=".", label=label, color=colour)
    axes.fill_between(rows["layer"], rows["ci_low"], rows["ci_high"], color=colour, alpha=0.15, linewidth=0)
