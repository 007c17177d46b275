"""Table 5: what every method of continual learning knows after the last task, what it forgot, and what it costs.

Intervals resample the test examples within tasks, the same for all methods and stages, and seeds where there are
several.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables import continual_metrics as metrics
from taskneurons.tables.common import TableSettings
from taskneurons.tables.continual_runs import (
    MEAN,
    MEASURES,
    UNTRAINED,
    Sequence,
    TestedStages,
    orders_of,
    with_interval,
)

# Column of a paired comparison → the method whose average accuracy is taken off.
REFERENCES = {"vs_ncft": "NCFT", "vs_w_ncft": "W-NCFT", "vs_dynamic_ncft": "Dynamic NCFT"}
NUMBERS = ("bwt", "forgetting", "fwt", "general")
COSTS = ("bytes_per_task", "trained_parameters", "seconds_per_stage", "peak_memory_mib")


@dataclass(frozen=True)
class Cell:
    """A method on an order, by one measure.

    Attributes:
        numbers: value and NUMBERS → (1 + replicates,), in points, general in nats.
        facts: the columns that have no interval.
    """

    numbers: dict[str, np.ndarray]
    facts: dict[str, Any]


def read_costs(paths: list[Path]) -> pd.DataFrame:
    """One row a stage that was learnt: a method, beginning of a sequence (of one task, learnt alone) and seed."""
    frames = []
    for path in paths:
        frame, made = read_frame(path, "stage costs")
        sequence, alone = tuple(made["sequence"]), made["learns"] == "alone"
        frames.append(frame.assign(method=made["method"], begun=[sequence], alone=alone))
    return pd.concat(frames, ignore_index=True)


def costs_of(costs: pd.DataFrame, method: str, sequence: Sequence) -> dict[str, float]:
    """Means over the stages and seeds of a sequence; of the memory the most."""
    of_method = costs[costs["method"] == method]
    begun = [sequence[:number] for number in range(1, len(sequence) + 1)]
    alone = [(task,) for task in sequence]
    found = of_method[of_method["begun"].isin(alone if of_method["alone"].any() else begun)]
    return {
        "bytes_per_task": found["kept_bytes"].mean(),
        "trained_parameters": found["trained_parameters"].mean(),
        "seconds_per_stage": found["seconds"].mean(),
        "peak_memory_mib": found["peak_memory_mib"].max(),
    }


def trained_cell(tests: TestedStages, method: str, sequence: Sequence, measure: str) -> Cell:
    """A method that has learnt a sequence."""
    accuracies = tests.accuracies(method, sequence, measure)
    untrained = tests.untrained_accuracies(sequence, measure)
    found = {
        "value": metrics.average_accuracy(accuracies),
        "bwt": metrics.backward_transfer(accuracies),
        "forgetting": metrics.forgetting(accuracies),
        "fwt": metrics.forward_transfer(tests.before(method, sequence, measure), untrained),
    }
    numbers = {name: 100 * metrics.over_seeds(values) for name, values in found.items()}
    losses = metrics.over_seeds(tests.plain_text(method, sequence))[:, -1]
    numbers["general"] = losses - tests.untrained_plain_text()
    made = tests.last(method, sequence).made
    keys = ("needs_task_id", "keeps_examples", "learning_rate", "knob")
    return Cell(numbers, {"n_seeds": len(tests.seeds(method, sequence)), **{key: made[key] for key in keys}})


def untrained_cell(tests: TestedStages, sequence: Sequence, measure: str) -> Cell:
    """The untrained model, which has learnt, forgotten and kept nothing."""
    value = 100 * metrics.average_accuracy(tests.untrained_accuracies(sequence, measure)[..., np.newaxis])
    numbers = {"value": value, **{name: np.full(len(value), np.nan) for name in NUMBERS}}
    rates = {"learning_rate": None, "knob": None}
    return Cell(numbers, {"n_seeds": 0, "needs_task_id": False, "keeps_examples": False, **rates})


def cells_of(
    tests: TestedStages, costs: pd.DataFrame, sequence: Sequence, measure: str, paper: dict[str, float]
) -> dict[str, Cell]:
    """Method → its cell, of the methods that were tested by a measure after a whole sequence.

    Args:
        paper: method → the published figure of this order.
    """
    found = {UNTRAINED: untrained_cell(tests, sequence, measure)}
    for method in tests.methods():
        if tests.seeds(method, sequence):
            found[method] = trained_cell(tests, method, sequence, measure)
    of_order = {
        "n_tasks": len(sequence),
        "n_test": sum(tests.numbers.get((measure, task), 0) for task in sequence),
        "n_orders": 1,
    }
    for method, cell in found.items():
        cell.facts.update(of_order, paper_llama=paper.get(method, np.nan), **costs_of(costs, method, sequence))
    return {method: cell for method, cell in found.items() if not np.isnan(cell.numbers["value"][0])}


def paper_of(figures: pd.DataFrame, benchmark: str, order: str) -> dict[str, float]:
    """Method → the published figure of one order of a benchmark."""
    found = figures[(figures["benchmark"] == benchmark) & (figures["order"] == order)]
    return dict(zip(found["method"], found["value"], strict=True))


def mean_cell(cells: list[Cell]) -> Cell:
    """The mean of a method over the orders that it has; what cannot be averaged is that of the first."""
    numbers = {name: np.mean([cell.numbers[name] for cell in cells], axis=0) for name in cells[0].numbers}
    averaged = {name: np.mean([cell.facts[name] for cell in cells]) for name in (*COSTS, "paper_llama")}
    seeds = min(cell.facts["n_seeds"] for cell in cells)
    return Cell(numbers, {**cells[0].facts, **averaged, "n_seeds": seeds, "n_orders": len(cells)})


def row(
    named: dict[str, Any], sequence: str | None, cell: Cell, less: dict[str, np.ndarray], confidence: float
) -> dict[str, Any]:
    """One row of the table.

    Args:
        named: its method, benchmark and order.
        less: column of REFERENCES → the differences from that method, (1 + replicates,).
    """
    numbers, facts = cell.numbers, cell.facts
    columns = {key: named[key] for key in ("method", "benchmark", "order")}
    columns |= with_interval("value", numbers["value"], confidence)
    columns |= {
        "measure": named["measure"],
        **{key: facts[key] for key in ("n_seeds", "n_orders", "n_tasks", "n_test")},
    }
    columns |= {"sequence": sequence, "paper_llama": facts["paper_llama"]}
    for name in NUMBERS:
        columns |= with_interval(name, numbers[name], confidence)
    columns |= {key: facts[key] for key in ("needs_task_id", "keeps_examples", *COSTS, "learning_rate", "knob")}
    for name in REFERENCES:
        columns |= with_interval(name, less.get(name, np.full(len(numbers["value"]), np.nan)), confidence)
    return columns


def differences(method: str, orders: list[dict[str, Cell]]) -> dict[str, np.ndarray]:
    """A method's value less that of each reference, mean over the orders that have both."""
    found = {}
    for name, reference in REFERENCES.items():
        both = [cells for cells in orders if method in cells and reference in cells]
        if both and method != reference:
            less = [cells[method].numbers["value"] - cells[reference].numbers["value"] for cells in both]
            found[name] = np.mean(less, axis=0)
    return found


def rows(
    settings: TableSettings, *, continual_tests: list[Path], continual_costs: list[Path], published: Path
) -> list[dict[str, Any]]:
    """One row a benchmark, measure, order and method; where there are several orders, first the means over them."""
    tests = TestedStages(continual_tests, settings["tables.bootstrap"])
    costs, confidence = read_costs(continual_costs), settings["tables.confidence"]
    figures = pd.read_csv(published, dtype={"order": str})
    result = []
    for benchmark, orders in orders_of(settings["continual.benchmarks"]).items():
        for measure in MEASURES:
            cells = {
                order: cells_of(tests, costs, sequence, measure, paper_of(figures, benchmark, order))
                for order, sequence in orders.items()
            }
            named = {"benchmark": benchmark, "measure": measure}
            for method in (UNTRAINED, *tests.methods()):
                of_method = [of_order[method] for of_order in cells.values() if method in of_order]
                if len(orders) > 1 and of_method:
                    less = differences(method, list(cells.values()))
                    named_mean = {**named, "method": method, "order": MEAN}
                    result.append(row(named_mean, None, mean_cell(of_method), less, confidence))
            for order, of_order in cells.items():
                sequence = " → ".join(settings.tasks[task]["name"] for task in orders[order])
                for method, cell in of_order.items():
                    less = differences(method, [of_order])
                    result.append(row({**named, "method": method, "order": order}, sequence, cell, less, confidence))
    return result
