"""Figure 4: what is kept of the tasks learnt before, after every stage, and the loss on plain text."""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.tables import continual_metrics as metrics
from taskneurons.tables.common import TableSettings
from taskneurons.tables.continual_runs import MEAN, Sequence, TestedStages, orders_of, with_interval

MEASURE = "label"
NUMBERS = ("fg", "fg_own", "accuracy_seen", "loss", "general")


def stages_of(tests: TestedStages, method: str, sequence: Sequence) -> dict[str, np.ndarray]:
    """NUMBERS → (1 + replicates, N), shares and accuracies in percent, losses in nats."""
    accuracies = tests.accuracies(method, sequence, MEASURE)
    alone = tests.alone(sequence, MEASURE)
    losses = metrics.over_seeds(tests.plain_text(method, sequence))
    return {
        "fg": metrics.over_seeds(metrics.retention(accuracies, alone)),
        "fg_own": metrics.over_seeds(metrics.retention(accuracies, metrics.own_accuracies(accuracies))),
        "accuracy_seen": 100 * metrics.over_seeds(metrics.seen_accuracies(accuracies)),
        "loss": losses,
        "general": losses - tests.untrained_plain_text()[:, np.newaxis],
    }


def _rows(
    named: dict[str, Any],
    learnt: list[str | None],
    found: dict[str, np.ndarray],
    facts: dict[str, int],
    confidence: float,
) -> list[dict[str, Any]]:
    """The rows of one method and order.

    Args:
        learnt: the task of each stage; None where orders are averaged.
    """
    result = []
    for stage, task in enumerate(learnt):
        row = {**named, "stage": stage + 1, "task": task, "measure": MEASURE}
        for name, values in found.items():
            row |= with_interval(name, values[:, stage], confidence)
        result.append({**row, **facts})
    return result


def rows(settings: TableSettings, *, continual_tests: list[Path]) -> list[dict[str, Any]]:
    """One row a benchmark, order, method and stage; first the means over orders where these are of one length."""
    tests = TestedStages(continual_tests, settings["tables.bootstrap"])
    confidence = settings["tables.confidence"]
    result = []
    for benchmark, orders in orders_of(settings["continual.benchmarks"]).items():
        of_orders, of_means = [], []
        for method in tests.methods():
            found = {
                order: stages_of(tests, method, sequence)
                for order, sequence in orders.items()
                if tests.seeds(method, sequence)
            }
            seeds = {order: len(tests.seeds(method, orders[order])) for order in found}
            for order, columns in found.items():
                named = {"method": method, "benchmark": benchmark, "order": order}
                learnt: list[str | None] = [settings.tasks[task]["name"] for task in orders[order]]
                facts = {"n_seeds": seeds[order], "n_orders": 1}
                of_orders += _rows(named, learnt, columns, facts, confidence)
            lengths = {len(sequence) for sequence in orders.values()}
            if found and len(orders) > 1 and len(lengths) == 1:
                named = {"method": method, "benchmark": benchmark, "order": MEAN}
                columns = {name: np.mean([one[name] for one in found.values()], axis=0) for name in NUMBERS}
                facts = {"n_seeds": min(seeds.values()), "n_orders": len(found)}
                of_means += _rows(named, [None] * lengths.pop(), columns, facts, confidence)
        result += [*of_means, *of_orders]
    return result
