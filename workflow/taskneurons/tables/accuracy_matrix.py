"""Tables 12 to 14: every task's accuracy after every stage, and before its own."""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.tables.common import TableSettings
from taskneurons.tables.continual_metrics import over_seeds
from taskneurons.tables.continual_runs import MEASURES, Sequence, TestedStages, orders_of, with_interval


def routed_right(tests: TestedStages, method: str, begun: Sequence, measure: str, task: str) -> float:
    """Percent of a task's inputs that a method gave to that task after a stage, mean over seeds; missing without."""
    found = [
        tests.stages[method, begun, seed].routed_right.get((measure, task), np.nan)
        for seed in tests.seeds(method, begun)
    ]
    return float(np.mean(found))


def cells(
    tests: TestedStages, method: str, sequence: Sequence, measure: str, names: list[str], confidence: float
) -> list[dict[str, Any]]:
    """The rows of one method, sequence and measure, of what was tested."""
    after = 100 * over_seeds(tests.accuracies(method, sequence, measure))
    before = 100 * over_seeds(tests.before(method, sequence, measure))
    result = []
    for stage, task in np.argwhere(np.tri(len(sequence))):  # the tasks learnt so far
        tested = {"after": after[:, task, stage]} | ({"before": before[:, task]} if task == stage else {})
        for when, values in tested.items():
            if np.isnan(values[0]):
                continue
            row = {"task": names[task], "position": task + 1, "stage": stage + 1, "when": when, "measure": measure}
            row |= with_interval("value", values, confidence)
            routed = routed_right(tests, method, sequence[: stage + 1], measure, sequence[task])
            row["routed_right_pct"] = routed if when == "after" else np.nan
            row["n_test"] = tests.numbers[measure, sequence[task]]
            row["n_seeds"] = len(tests.seeds(method, sequence))
            result.append(row)
    return result


def rows(settings: TableSettings, *, continual_tests: list[Path]) -> list[dict[str, Any]]:
    """One row a benchmark, order, method, measure, stage and task learnt so far; "before" is before the stage."""
    tests = TestedStages(continual_tests, settings["tables.bootstrap"])
    result = []
    for benchmark, orders in orders_of(settings["continual.benchmarks"]).items():
        for order, sequence in orders.items():
            names = [settings.tasks[task]["name"] for task in sequence]
            for method in tests.methods():
                if not tests.seeds(method, sequence):
                    continue
                named = {"method": method, "benchmark": benchmark, "order": order}
                for measure in MEASURES:
                    found = cells(tests, method, sequence, measure, names, settings["tables.confidence"])
                    result += [{**named, **one} for one in found]
    return result
