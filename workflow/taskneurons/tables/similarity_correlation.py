"""Table 4: does a model generalise better to a task whose parameters are more similar inside it?

Over the models M_i, each fine-tuned on one task: the correlation of the similarity of task i's and task j's parameters
inside M_i with how well M_i does on task j. The similarity is that of all matrices together, mean over the layers that
have one; and, as the mean of the correlations over a group's test tasks, every layer by itself.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.common import TableSettings
from taskneurons.tables.correlations import FEWEST, STATISTICS, mean_correlation, p_value
from taskneurons.tables.missing import mean_of
from taskneurons.tables.similarity import MEAN, MEAN_VECTOR, TOGETHER, read_similarities

# Measure → the sign by which higher is better. Of the loss it is the fall from any loss that is the same for all
# models, as the base model's: a correlation does not see how large that is.
MEASURES = {"score": 1, "loss": -1}


def read_generalisation(paths: list[Path]) -> dict[tuple[str, str], pd.Series]:
    """(measure, test task) → how well each model does on it, by the task that the model was trained on."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for path in paths:
        frame, made = read_frame(path, "tested model")
        (trained,) = made["trained_on"]
        for (measure, task), value in frame.groupby(["measure", "task"])["value"].mean().items():
            found.setdefault((measure, task), {})[trained] = MEASURES[measure] * float(value)
    return {key: pd.Series(values) for key, values in found.items()}


def cell(similarities: np.ndarray, measures: np.ndarray, statistic: str, settings: TableSettings) -> dict[str, Any]:
    """The columns of one correlation, or of the mean over several test tasks.

    Args:
        similarities, measures: (test tasks, models); a model without a similarity to one of them is left out.
    """
    whole = ~np.isnan(similarities).any(axis=0)
    one, other = similarities[:, whole], measures[:, whole]
    value, low, high = mean_correlation(
        one, other, statistic, settings["tables.bootstrap"], settings["tables.confidence"]
    )
    alone = len(one) == 1 and whole.sum() >= FEWEST
    p = p_value(one[0], other[0], statistic) if alone else np.nan
    return {"value": value, "p_value": p, "ci_low": low, "ci_high": high, "n": int(whole.sum())}


COLUMNS = [
    *("test_task", "statistic", "value", "p_value"),  # the published file's
    *("test_group", "layers", "method", "measure", "ci_low", "ci_high", "n", "paper_llama", "paper_p"),
]


def rows(
    settings: TableSettings, *, similarity: list[Path], single_task_tested: list[Path], published: Path
) -> list[dict[str, Any]]:
    """One row a test task, method, measure and statistic; then the means over each group's test tasks, by layer too."""
    found, generalisation = read_similarities(similarity), read_generalisation(single_task_tested)
    figures = pd.read_csv(published).set_index(["test_task", "statistic"])
    measures = [measure for measure in MEASURES if any(measure == one for one, _ in generalisation)]
    methods = sorted(found.cells["method"].unique(), key=lambda name: name != MEAN_VECTOR)
    of_tasks, of_groups = [], []
    for group, tests in settings["groups"]["test"].items():
        for method in methods:
            values = found.of(found.models, tests, matrix=TOGETHER, method=method)[..., 0]  # (models, tests, layers)
            in_layers: dict[str, np.ndarray] = {MEAN: mean_of(values, axis=2).T}
            in_layers |= {str(layer): values[..., layer].T for layer in range(values.shape[2])}
            for measure in measures:
                does = np.array([generalisation[measure, task][found.models] for task in tests])  # (tests, models)
                named = {"test_group": group, "method": method, "measure": measure}
                for statistic in STATISTICS:
                    named["statistic"] = statistic
                    for number, task in enumerate(tests):
                        shown, own = settings.tasks[task], slice(number, number + 1)
                        row = cell(in_layers[MEAN][own], does[own], statistic, settings)
                        named_task = {**named, "test_task": shown["name"], "layers": MEAN}
                        of_tasks.append({**named_task, **row, **paper(figures, shown, measure, statistic)})
                    for layers, of_layer in in_layers.items():
                        row = cell(of_layer, does, statistic, settings)
                        if len(tests) == 1:
                            row["p_value"] = np.nan  # as where there are several; the task has its own row
                        of_groups.append({**named, "test_task": MEAN, "layers": layers, **row})
    return [{column: row.get(column, np.nan) for column in COLUMNS} for row in (*of_tasks, *of_groups)]


def paper(figures: pd.DataFrame, shown: dict[str, Any], measure: str, statistic: str) -> dict[str, float]:
    """The published figures of a test task's counterpart, which are of scores; nothing says by which method."""
    if measure != "score" or (shown["counterpart"], statistic) not in figures.index:
        return {}
    cell = figures.loc[(shown["counterpart"], statistic)]
    return {"paper_llama": float(cell["value"]), "paper_p": float(cell["p_value"])}
