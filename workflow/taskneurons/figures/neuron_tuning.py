"""Bars of every task's score: zero-shot, with random neurons trained, with its own trained, at their tuned rates."""

import pandas as pd
from matplotlib.figure import Figure

from taskneurons.figures.common import method_bars

COLOURS = {"zero-shot": "#4c566a", "train-random": "#8fbcdb", "train-task": "#5b9a5b"}


def draw(table: pd.DataFrame) -> Figure:
    """The figure of the neuron tuning table; at the common rate, and of other control sets, it shows nothing."""
    return method_bars(table[table["rate"].isna() | (table["rate"] == "tuned")], COLOURS)
