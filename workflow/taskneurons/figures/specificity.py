"""The contrast of every combination of ablation, reference and rule, a panel a matching: right of zero is specific."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"headline": "C3", "the paper's": "C0", "exploratory": "0.35"}
SIGNIFICANT = 0.05


def draw_matching(axes: Axes, table: pd.DataFrame) -> None:
    """One panel: a dot with its interval a row, filled where p < SIGNIFICANT, own ÷ other beside it."""
    axes.axvline(0, color="0.7", linewidth=1)
    for height, row in enumerate(table.itertuples()):
        if np.isnan(row.contrast):
            continue
        colour = COLOURS[row.status]
        axes.plot([row.contrast_ci_low, row.contrast_ci_high], [height, height], "-", color=colour, linewidth=1.5)
        face = colour if row.p < SIGNIFICANT else "white"
        axes.plot(row.contrast, height, "o", color=colour, markerfacecolor=face, markersize=6)
        ratio = "–" if np.isnan(row.own_over_other) else f"{row.own_over_other:.1f}"
        place = axes.get_yaxis_transform()
        axes.text(1.02, height, ratio, transform=place, va="center", color=colour, fontsize=8)
    axes.set_title(table["matching"].iloc[0])
    axes.text(1.02, -0.9, "own ÷\nother", transform=axes.get_yaxis_transform(), va="bottom", fontsize=7)
    axes.set_xlabel("contrast of log damages")
    axes.grid(axis="x", alpha=0.3)


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the specificity table."""
    table = table[~table["rule"].isin(["random", "universal"])]
    matchings = list(table["matching"].unique())
    labels = [f"{one.ablation} · {one.reference} · {one.rule}" for one in table.itertuples()]
    table = table.assign(label=labels)
    order = list(dict.fromkeys(labels))
    size = (2.2 + 2.6 * len(matchings), 1.4 + 0.34 * len(order))
    figure, panels = plt.subplots(
        1, len(matchings), figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axes, matching in zip(panels[0], matchings, strict=True):
        draw_matching(axes, table[table["matching"] == matching].set_index("label").loc[order])
    panels[0][0].set_yticks(range(len(order)), order)
    panels[0][0].set_ylim(len(order) - 0.5, -0.5)
    panels[0][0].set_ylabel("ablation · reference of the scores · rule")
    kinds = [
        plt.Line2D([], [], color=colour, marker="o", linestyle="-", label=name)
        for name, colour in COLOURS.items()
        if name in set(table["status"])
    ]
    kinds.append(plt.Line2D([], [], color="0.35", marker="o", markerfacecolor="white", linestyle="", label="p ≥ 0.05"))
    figure.legend(handles=kinds, loc="outside lower center", ncols=len(kinds), frameon=False)
    return figure
