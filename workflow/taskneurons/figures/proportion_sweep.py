"""Figure 2: in- and out-of-domain curves of each trained group against the proportion, with intervals and peaks.

Beside them, in the last panel, single tasks trained alone (Figure 6).
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WORDS = {"score": "score", "loss": "loss, nats a token"}


def _curve(axes: Axes, rows: pd.DataFrame, label: str, colour: str | tuple[float, ...], style: str = "-") -> None:
    axes.plot(rows["proportion_pct"], rows["value"], style, marker="o", markersize=3, label=label, color=colour)
    axes.fill_between(rows["proportion_pct"], rows["ci_low"], rows["ci_high"], color=colour, alpha=0.13, linewidth=0)


def _peak(axes: Axes, rows: pd.DataFrame, height: float, colour: str) -> None:
    """A mark at the peak, and the interval of its place as a bar near the bottom of the panel."""
    first = rows.iloc[0]
    at_peak = rows[rows["proportion_pct"] == first["peak_pct"]]
    axes.plot(at_peak["proportion_pct"], at_peak["value"], "*", markersize=10, color=colour)
    place = axes.get_xaxis_transform()
    ends = [first["peak_ci_low"], first["peak_ci_high"]]
    axes.plot(ends, [height, height], "|-", color=colour, transform=place, linewidth=1.5, markersize=6)
    axes.plot(first["peak_pct"], height, "*", color=colour, transform=place, markersize=6)


def _group(axes: Axes, table: pd.DataFrame) -> None:
    """One panel: the curves of one trained group."""
    curves = list(table["curve"].unique())
    for number, curve in enumerate(curves):
        rows = table[table["curve"] == curve].sort_values("proportion_pct")
        mean, colour = curve.startswith("mean of "), f"C{number}"
        _curve(axes, rows, "mean of ID and OOD of its name" if mean else curve, colour, "--" if mean else "-")
        _peak(axes, rows, 0.03 + 0.035 * number, colour)
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
    axes.set_ylim(low - 0.22 * (high - low), high)  # room for the peaks' intervals
    axes.set_title(f"{table['group'].iloc[0]} trained together")
    axes.set_ylabel(WORDS[table["measure"].iloc[0]])


def _finish(axes: Axes, table: pd.DataFrame) -> None:
    ticks = sorted(table["proportion_pct"].unique())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("each task's best neurons, percent of all\n(0: zero-shot)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False, ncols=2)


def draw(alone: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """The figure of the proportion sweep table: of scores, or of losses where nothing was scored.

    Args:
        alone: the table of single tasks by proportion.
    """
    measures = set(table["measure"])
    table = table[table["measure"] == ("score" if "score" in measures else "loss")]
    groups = list(table["group"].unique())
    figure, panels = plt.subplots(
        1, len(groups) + 1, figsize=(4.2 * (len(groups) + 1), 4.2), squeeze=False, layout="constrained"
    )
    for axes, group in zip(panels[0], groups, strict=False):
        of_group = table[table["group"] == group]
        _group(axes, of_group)
        _finish(axes, of_group)
    axes = panels[0][-1]
    for number, (task, rows) in enumerate(alone.groupby("task", sort=False)):
        _curve(axes, rows, task, plt.cm.tab20(number % 20))
    axes.set_title("single tasks trained alone")
    axes.set_ylabel("score")
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)  # logarithmic, with a place for 0
    axes.minorticks_off()
    _finish(axes, alone)
    return figure
