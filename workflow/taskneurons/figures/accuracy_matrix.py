"""Tables 12 to 14: accuracies after every stage, a heat map a method, of the first order of each benchmark."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from taskneurons.figures.common import draw_heat_map

ACROSS = 6  # heat maps side by side


def matrices(table: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Benchmark → method → its accuracies (tasks in the order of learning, stages) on the first order."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    table = table[(table["measure"] == "label") & (table["when"] == "after")]
    for benchmark, rows in table.groupby("benchmark", sort=False):
        first = rows[rows["order"] == rows["order"].iloc[0]]
        tasks = first.drop_duplicates("position").sort_values("position")["task"]
        for method, own in first.groupby("method", sort=False):
            matrix = own.pivot(index="task", columns="stage", values="value")
            matrix = matrix.reindex(index=list(tasks), columns=range(1, len(tasks) + 1))
            matrix.index.name, matrix.columns.name = "task", "after stage"
            found.setdefault(str(benchmark), {})[str(method)] = matrix
    return found


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the accuracy matrix: a block of panels a benchmark, one under the other."""
    found = matrices(table)
    lines = [list(of.items())[start : start + ACROSS] for of in found.values() for start in range(0, len(of), ACROSS)]
    names = [benchmark for benchmark, of in found.items() for _ in range(0, len(of), ACROSS)]
    sizes = [len(line[0][1]) for line in lines]
    across = max(len(line) for line in lines)
    heights = [1.1 + 0.24 * size for size in sizes]
    figure, panels = plt.subplots(
        len(lines),
        across,
        figsize=(1.6 + across * (0.5 + 0.3 * max(sizes)), sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for row, benchmark, line in zip(panels, names, lines, strict=True):
        for axes in row[len(line) :]:
            axes.axis("off")
        for place, (axes, (method, matrix)) in enumerate(zip(row, line, strict=False)):
            image = draw_heat_map(axes, matrix, "viridis", 0, 100)
            axes.set_title(f"{benchmark}: {method}", fontsize=8)
            axes.tick_params(axis="x", labelrotation=0)
            axes.set_ylabel("")
            if place:
                axes.set_yticklabels([])
    figure.colorbar(image, ax=panels, label="accuracy, in points", shrink=0.4, aspect=40)
    return figure
