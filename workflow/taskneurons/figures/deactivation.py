"""Bars of every task's score: the original, with random neurons off, with its own neurons off; with intervals."""

import pandas as pd
from matplotlib.figure import Figure

from taskneurons.figures.common import method_bars

COLOURS = {"original": "#4c566a", "deactivate-random": "#8fbcdb", "deactivate-task": "#c8553d"}


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the deactivation table."""
    return method_bars(table, COLOURS)
