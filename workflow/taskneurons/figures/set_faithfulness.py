"""Joint changes beside sums of scores, sufficiency and necessity by share; means over tasks, a row an ablation."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PANELS = {
    "joint_change": "set off: change of the loss\n(sum of scores dashed)",
    "sufficiency": "sufficiency: set kept alone",
    "necessity": "necessity: set off",
}


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the set faithfulness table, one line a rule."""
    ablations, rules = list(table["ablation"].unique()), list(table["rule"].unique())
    figure, panels = plt.subplots(
        len(ablations),
        len(PANELS),
        figsize=(3.6 * len(PANELS), 2.9 * len(ablations)),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for row, ablation in zip(panels, ablations, strict=True):
        of_ablation = table[table["ablation"] == ablation]
        for axes, (measure, title) in zip(row, PANELS.items(), strict=True):
            for number, rule in enumerate(rules):
                of_rule = of_ablation[of_ablation["rule"] == rule].groupby("share_pct")
                means = of_rule[measure].mean()
                axes.plot(means.index, means, "o-", markersize=3, label=rule, color=f"C{number}")
                if measure == "joint_change":
                    sums = of_rule["signed_sum"].mean()
                    axes.plot(sums.index, sums, "--", color=f"C{number}")
            axes.set_title(f"{ablation} ablation\n{title}")
            _look(axes, measure, sorted(table["share_pct"].unique()))
        row[0].set_ylabel("nats a token")
    for axes in panels[-1]:
        axes.set_xlabel("percent of all neurons in the set")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _look(axes: Axes, measure: str, shares: list[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if measure == "joint_change":
        axes.set_yscale("symlog", linthresh=0.01)
    else:
        axes.set_yscale("symlog", linthresh=2)  # a set may do more than all neurons: linear up to twice that
        for whole in (0, 1):
            axes.axhline(whole, color="black", linewidth=0.8)
