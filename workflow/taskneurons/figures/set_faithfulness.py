"""Joint changes beside sums of scores, sufficiency and necessity by share; means over tasks, a row an ablation."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Panel → its title, and the columns that it shows with their lines.
PANELS = {
    "set off, and sums of its scores": {"joint_change": "o-", "signed_sum": "--", "absolute_sum": ":"},
    "sufficiency: set kept alone": {"sufficiency": "o-"},
    "necessity: set off": {"necessity": "o-"},
}
SUMS = {"o-": "change of the loss", "--": "signed sum", ":": "sum of absolute scores"}


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the set faithfulness table, a colour a rule."""
    ablations, rules = list(table["ablation"].unique()), list(table["rule"].unique())
    figure, panels = plt.subplots(
        len(ablations),
        len(PANELS),
        figsize=(3.6 * len(PANELS), 2.9 * len(ablations)),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    shares = sorted(table["share_pct"].unique())
    for row, ablation in zip(panels, ablations, strict=True):
        of_ablation = table[table["ablation"] == ablation]
        for axes, (title, columns) in zip(row, PANELS.items(), strict=True):
            for number, rule in enumerate(rules):
                means = of_ablation[of_ablation["rule"] == rule].groupby("share_pct")[list(columns)].mean()
                for column, line in columns.items():
                    label = rule if line == "o-" else "_"
                    axes.plot(means.index, means[column], line, markersize=3, label=label, color=f"C{number}")
            axes.set_title(f"{ablation} ablation\n{title}")
            axes.set_xscale("log")
            axes.set_xticks(shares, [f"{share:g}" for share in shares])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        row[0].set_yscale("symlog", linthresh=1e-3)
        row[0].set_ylabel("nats a token")
        for axes in row[1:]:
            _from_none_to_all(axes)
    for axes in panels[-1]:
        axes.set_xlabel("percent of all neurons in the set")
    handles, labels = panels[0][0].get_legend_handles_labels()
    for line in SUMS:
        handles += panels[0][0].plot([], [], line.removeprefix("o"), color="black", label="_")
    figure.legend(handles, [*labels, *SUMS.values()], loc="outside lower center", ncols=len(rules), frameon=False)
    return figure


def _from_none_to_all(axes: Axes) -> None:
    """Mark what no neuron and all neurons do; sets that do far more than all are drawn on a logarithmic scale."""
    for whole in (0, 1):
        axes.axhline(whole, color="black", linewidth=0.8)
    low, high = axes.get_ylim()
    if low < -2 or high > 3:
        axes.set_yscale("symlog", linthresh=2)
        axes.yaxis.set_major_formatter("{x:g}")
