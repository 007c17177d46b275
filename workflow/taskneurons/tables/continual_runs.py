"""The tested stages of continual learning, as accuracies over resampled examples, and what its tables share."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.tables.continual_metrics import over_seeds, replicate_weights
from taskneurons.tables.missing import interval_of

UNTRAINED = "zero-shot"
ALONE = "Per-Task FT"  # whose accuracies are the A_i of all methods
METHODS = [  # in the tables' order
    *(UNTRAINED, "SeqFT", "SeqLoRA", "EPI", "O-LoRA", "NCFT", "W-NCFT", "W-NCFT-delta", ALONE, "Joint"),
    *("Replay", "EWC", "OSF", "NCFT-random", "Dynamic NCFT", "Routed random", "Routed LoRA"),
]
MEASURES = ["label", "exact_match"]
MEAN = "mean over orders"

Sequence = tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """What was tested after one stage of one training.

    Attributes:
        made: its file's provenance.
        means: (measure, when, task) → (1 + replicates,), of all examples first.
        routed_right: (measure, task) → percent of inputs that the method gave to their own task.
    """

    made: dict[str, Any]
    means: dict[tuple[str, str, str], np.ndarray]
    routed_right: dict[tuple[str, str], float]


class TestedStages:
    """All tested stages.

    Attributes:
        stages: (method, sequence so far, seed) → stage.
        numbers: (measure, task) → number of test examples.
        untrained: the base model.
    """

    __test__ = False  # no test class of pytest's

    def __init__(self, paths: list[Path], replicates: int) -> None:
        """Read all files.

        Raises:
            UserError: none is of the untrained model, or a task's examples are not the same in two of them.
        """
        self._replicates = replicates
        self._weights: dict[tuple[str, int], np.ndarray] = {}
        self._examples: dict[tuple[str, str], np.ndarray] = {}
        self.stages: dict[tuple[str, Sequence, int], Stage] = {}
        untrained = None
        for path in paths:
            stage = self._read(path)
            if stage.made["method"] == UNTRAINED:
                untrained = stage
            else:
                self.stages[stage.made["method"], tuple(stage.made["sequence"]), stage.made["seed"]] = stage
        if untrained is None:
            raise UserError(f"none of {len(paths)} tested stages is of the untrained model ({UNTRAINED})")
        self.untrained: Stage = untrained
        self._seeds: dict[tuple[str, Sequence], list[int]] = {}
        for method, sequence, seed in sorted(self.stages):
            self._seeds.setdefault((method, sequence), []).append(seed)
        self.numbers = {key: len(ids) for key, ids in self._examples.items()}

    def _read(self, path: Path) -> Stage:
        frame, made = read_frame(path, "tested stage")
        means, routed = {}, {}
        frame = frame.sort_values("id")
        number, value, own_task = (frame[column].to_numpy() for column in ("id", "value", "routed"))
        for key, rows in frame.groupby(["measure", "when", "task"]).indices.items():
            measure, when, task = map(str, key)
            ids = number[rows]
            if not np.array_equal(ids, self._examples.setdefault((measure, task), ids)):
                raise UserError(
                    f"{path} has not the same {len(ids)} test examples of {task or 'plain text'!r} by {measure} as "
                    "the other stages: test all of them anew"
                )
            means[measure, when, task] = self._weights_of(task or measure, len(ids)) @ value[rows]
            if when == "after" and ((chosen := own_task[rows]) != "").any():
                routed[measure, task] = 100 * float(np.mean(chosen == task))
        return Stage(made, means, routed)

    def _weights_of(self, task: str, number: int) -> np.ndarray:
        if (task, number) not in self._weights:
            self._weights[task, number] = replicate_weights(task, number, self._replicates)
        return self._weights[task, number]

    def methods(self) -> list[str]:
        """The methods that there are, in the tables' order, without the untrained model."""
        there = dict.fromkeys(method for method, _, _ in self.stages)
        known = [method for method in METHODS if method in there]
        return known + [method for method in there if method not in METHODS]

    def seeds(self, method: str, sequence: Sequence) -> list[int]:
        """The seeds with which a method has learnt a whole sequence."""
        return self._seeds.get((method, sequence), [])

    def last(self, method: str, sequence: Sequence) -> Stage:
        """The last stage of a sequence, of the first seed."""
        return self.stages[method, sequence, self.seeds(method, sequence)[0]]

    def accuracies(self, method: str, sequence: Sequence, measure: str) -> np.ndarray:
        """a[i, j] from 0 to 1, (seeds, 1 + replicates, N, N); missing where a stage was not tested on a task."""
        of_tasks = [self._at_stages(method, sequence, (measure, "after", task)) for task in sequence]
        return np.stack(of_tasks, axis=-2)

    def before(self, method: str, sequence: Sequence, measure: str) -> np.ndarray:
        """a[i, i − 1] from 0 to 1, (seeds, 1 + replicates, N): every task before its own stage."""
        of_tasks = [self._at_stages(method, sequence, (measure, "before", task)) for task in sequence]
        return np.stack([values[..., stage] for stage, values in enumerate(of_tasks)], axis=-1)

    def plain_text(self, method: str, sequence: Sequence) -> np.ndarray:
        """The loss on plain text after every stage in nats, (seeds, 1 + replicates, N)."""
        return self._at_stages(method, sequence, ("general", "after", ""))

    def _at_stages(self, method: str, sequence: Sequence, key: tuple[str, str, str]) -> np.ndarray:
        """One mean at every stage, (seeds, 1 + replicates, N)."""
        begun = [sequence[:number] for number in range(1, len(sequence) + 1)]
        of_seeds = [
            np.stack([self._mean(self.stages.get((method, tasks, seed)), key) for tasks in begun], axis=-1)
            for seed in self.seeds(method, sequence)
        ]
        return np.stack(of_seeds)

    def _mean(self, stage: Stage | None, key: tuple[str, str, str]) -> np.ndarray:
        missing = np.full(1 + self._replicates, np.nan)
        return missing if stage is None else stage.means.get(key, missing)

    def untrained_accuracies(self, sequence: Sequence, measure: str) -> np.ndarray:
        """The untrained model's accuracies from 0 to 1, (1 + replicates, N)."""
        return np.stack([self._mean(self.untrained, (measure, "before", task)) for task in sequence], axis=-1)

    def untrained_plain_text(self) -> np.ndarray:
        """The untrained model's loss on plain text in nats, (1 + replicates,)."""
        losses = [values for (measure, _, _), values in self.untrained.means.items() if measure == "general"]
        return losses[0] if losses else self._mean(None, ("general", "before", ""))

    def alone(self, sequence: Sequence, measure: str) -> np.ndarray:
        """A_i from 0 to 1, (1 + replicates, N): Per-Task FT's accuracy on each task right after training on it."""
        return np.stack([self._alone(task, sequence, measure) for task in sequence], axis=-1)

    def _alone(self, task: str, sequence: Sequence, measure: str) -> np.ndarray:
        """Of the same sequence where there is one; it trains each task alone, so that another one will do."""
        ends = [tasks for method, tasks in self._seeds if method == ALONE and tasks[-1] == task]
        own = sequence[: sequence.index(task) + 1]
        if not ends:
            return self._mean(None, (measure, "after", task))
        chosen = own if own in ends else ends[0]
        seeds = self.seeds(ALONE, chosen)
        return over_seeds(
            np.stack([self._mean(self.stages[ALONE, chosen, s], (measure, "after", task)) for s in seeds])
        )


def with_interval(name: str, values: np.ndarray, confidence: float) -> dict[str, float]:
    """The columns of a number and its interval (ci_low, ci_high of "value", else after its name), missing where it is.

    Args:
        values: (1 + replicates,), of all examples first.
    """
    low, high = interval_of(values[1:], confidence)
    prefix = "" if name == "value" else f"{name}_"
    return {name: float(values[0]), f"{prefix}ci_low": low, f"{prefix}ci_high": high}


def orders_of(benchmarks: dict[str, dict[Any, Iterable[str]]]) -> dict[str, dict[str, Sequence]]:
    """Benchmark → order → its tasks, of the config's section; orders are texts."""
    return {name: {str(order): tuple(tasks) for order, tasks in of.items()} for name, of in benchmarks.items()}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The rows over all orders; of a benchmark that has none, those of its orders."""
    means = table["order"] == MEAN
    return table[means | ~table["benchmark"].isin(table.loc[means, "benchmark"])]
