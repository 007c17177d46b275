"""What the figures share: their look, and how they are saved."""

import io
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from taskneurons.core.artifacts import replacing, write_text
from taskneurons.core.content import bytes_hash

# The same table gives the same file: no dates, no random element names. Text stays text in the SVG.
plt.rcParams.update({"svg.hashsalt": "taskneurons", "svg.fonttype": "none", "font.size": 9, "axes.axisbelow": True})


def as_texts(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts matplotlib shows as they are: two `$` would begin and end mathematics."""
    return table.map(lambda value: value.replace("$", r"\$") if isinstance(value, str) else value)


def save(figure: Figure, svg: Path, png: Path, provenance: dict[str, Any]) -> None:
    """Write a figure as SVG, with its provenance, and as PNG, atomically."""
    with replacing(png) as partial:
        figure.savefig(partial, dpi=150, bbox_inches="tight")
    drawing = io.StringIO()
    figure.savefig(drawing, format="svg", dpi=150, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    write_text(svg, drawing.getvalue(), "figure", {**provenance, "twin": bytes_hash(png)})


def heat_map(matrix: pd.DataFrame, label: str, palette: str, low: float, high: float) -> Figure:
    """A matrix of numbers as a coloured grid, each number written in its cell.

    Args:
        matrix: the cells; its index and columns name the rows and columns.
        label: what the numbers are, beside the colour bar.
        low, high: the values at the ends of the palette.
    """
    rows, columns = matrix.shape
    figure, axes = plt.subplots(figsize=(2.6 + 0.55 * columns, 1.4 + 0.42 * rows))
    figure.colorbar(draw_heat_map(axes, matrix, palette, low, high), label=label)
    return figure


def draw_heat_map(axes: Axes, matrix: pd.DataFrame, palette: str, low: float, high: float) -> AxesImage:
    """Draw one panel of a `heat_map`; a missing cell stays empty."""
    rows, columns = matrix.shape
    image = axes.imshow(matrix.to_numpy(dtype=float), cmap=palette, vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(columns), matrix.columns, rotation=40, ha="right")
    axes.set_yticks(range(rows), matrix.index)
    for (row, column), value in np.ndenumerate(matrix.to_numpy(dtype=float)):
        if np.isnan(value):
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        axes.text(
            column,
            row,
            f"{round(value) + 0:.0f}",
            ha="center",
            va="center",
            color="white" if dark else "black",
            fontsize=7,
        )
    axes.set_xlabel(str(matrix.columns.name))
    axes.set_ylabel(str(matrix.index.name))
    return image


def method_bars(table: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Bars of every task's score by each method of a table, with intervals.

    Args:
        colours: method → colour, in the order of the bars.
    """
    tasks = list(table["task"].unique())
    figure, axes = plt.subplots(figsize=(2 + 0.75 * len(tasks), 3.6))
    positions = np.arange(len(tasks))
    for number, (method, colour) in enumerate(colours.items()):
        rows = table[table["method"] == method].set_index("task").loc[tasks]
        errors = np.abs(np.stack([rows["value"] - rows["ci_low"], rows["ci_high"] - rows["value"]]))
        axes.bar(
            positions + 0.27 * (number - 1), rows["value"], 0.25, yerr=errors, label=method, color=colour, capsize=1.5
        )
    metrics = table.drop_duplicates("task").set_index("task")["metric"]
    axes.set_xticks(positions, [f"{task}\n({metrics[task]})" for task in tasks], rotation=40, ha="right")
    axes.set_ylabel("score")
    axes.set_ylim(0, 105)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=3, frameon=False)
    return figure
