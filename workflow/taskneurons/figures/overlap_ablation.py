"""Tables 9 to 11 as curves over the share that is asked for: controlled sets and both placebos, with intervals.

A panel a pair of groups and trained proportion. The natural set stands at its own share, zero-shot as a line.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"controlled": "#c8553d", "other-kind": "#5b7fb9", "score-matched": "#b58900", "natural": "black"}
APART = 1.2  # points of share between the kinds, so that their intervals do not hide each other
WORDS = {"score": "score on the test tasks", "loss": "loss on the test tasks, nats a token"}


def _whiskers(axes: Axes, places: pd.Series, rows: pd.DataFrame, kind: str, style: str) -> None:
    """Points with their intervals: over test examples and draws where there are several, else over test examples."""
    low, high = (rows[f"draws_ci_{end}"].fillna(rows[f"ci_{end}"]) for end in ("low", "high"))
    errors = np.abs(np.stack([rows["value"] - low, high - rows["value"]]))
    label = kind if kind != "natural" else "natural (top-k sets)"
    axes.errorbar(places, rows["value"], errors, fmt=style, color=COLOURS[kind], label=label, capsize=2, markersize=5)


def _panel(axes: Axes, table: pd.DataFrame) -> None:
    zero = table[table["overlap_kind"] == "zero-shot"].iloc[0]
    axes.axhline(zero["value"], color="0.5", linestyle=":", label="zero-shot")
    axes.axhspan(zero["ci_low"], zero["ci_high"], color="0.5", alpha=0.1, linewidth=0)
    for number, kind in enumerate(["controlled", "other-kind", "score-matched"]):
        rows = table[(table["overlap_kind"] == kind) & table["value"].notna()].sort_values("asked_pct")
        if len(rows):
            _whiskers(axes, rows["asked_pct"] + APART * (number - 1), rows, kind, "o-")
    natural = table[table["overlap_kind"] == "natural"]
    _whiskers(axes, natural["overlap_pct"], natural, "natural", "*")
    axes.set_title(f"{table['group'].iloc[0]}, top {table['trained_pct'].iloc[0]:g} %", fontsize=9)
    axes.grid(alpha=0.3)


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the overlap ablation table: of scores, or of losses where nothing was scored."""
    measure = "score" if "score" in set(table["measure"]) else "loss"
    table = table[table["measure"] == measure].astype({"asked_pct": float, "value": float})
    pairs, trained = list(table["group"].unique()), sorted(table["trained_pct"].unique())
    figure, panels = plt.subplots(
        len(trained),
        len(pairs),
        figsize=(3.4 * len(pairs), 0.6 + 2.9 * len(trained)),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for row, percent in zip(panels, trained, strict=True):
        for axes, pair in zip(row, pairs, strict=True):
            _panel(axes, table[(table["group"] == pair) & (table["trained_pct"] == percent)])
        row[0].set_ylabel(WORDS[measure])
    for axes in panels[-1]:
        axes.set_xlabel("percent of the trained set in the union\n(of the test tasks; other-kind: of the others)")
    # A kind may be there in some panels alone.
    legends = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels.flat]
    shown = {label: handle for legend in legends for handle, label in legend}
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=5, frameon=False)
    return figure
