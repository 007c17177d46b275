"""Damage to the own task, its family and the other tasks against k, one line a rule; means over the masked tasks."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the selection damage table: the rise of the target tokens' loss."""
    loss = table[table["measure"] == "loss"]
    relations = [relation for relation in ("own", "family", "other") if relation in set(loss["relation"])]
    figure, panels = plt.subplots(
        1, len(relations), figsize=(3.6 * len(relations), 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    rules = list(loss["rule"].unique())
    for axes, relation in zip(panels[0], relations, strict=True):
        rows = loss[loss["relation"] == relation]
        for number, rule in enumerate(rules):
            means = rows[rows["rule"] == rule].groupby("k")["value"].mean()
            axes.plot(means.index, means, "o-", markersize=4, label=rule, color=plt.cm.tab20(number % 20))
        axes.set_title(relation)
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=0.1)
        sizes = sorted(loss["k"].unique())
        axes.set_xticks(sizes, [f"{k:g}" for k in sizes])
        axes.minorticks_off()
        axes.set_xlabel("k, percent of all neurons")
        axes.grid(alpha=0.3)
    panels[0][0].set_ylabel("rise of the loss, nats a token")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure
