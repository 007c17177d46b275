"""What the tables of set faithfulness share: the effects of growing sets, over resampled examples.

Every number is an array (1 + replicates,): of all examples first, then of each bootstrap replicate. A replicate has the
same examples for all sets of a task, and each task's are drawn by themselves.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from taskneurons.core.artifacts import read_frame
from taskneurons.tables.intervals import percentile_interval, resampled_examples


@dataclass(frozen=True)
class SetEffect:
    """A set's effects, means over examples and draws, in nats.

    Attributes:
        off: loss with the set off.
        kept: loss with all others off.
        signed, absolute: the sums over its neurons that predict the loss's change.
    """

    n_neurons: int
    n_draws: int
    off: np.ndarray
    kept: np.ndarray
    signed: np.ndarray
    absolute: np.ndarray


@dataclass(frozen=True)
class TaskEffects:
    """The sets of one task under one ablation.

    Attributes:
        task: its key.
        sets: rule → share in percent → effect; shares grow.
        whole, empty: loss of the model as it is, and without FFN neurons.
    """

    task: str
    ablation: str
    n_neurons: int
    n_test: int
    sets: dict[str, dict[float, SetEffect]]
    whole: np.ndarray
    empty: np.ndarray

    def joint(self, effect: SetEffect) -> np.ndarray:
        """L(M without S) − L(M): what the set's neurons do together."""
        return effect.off - self.whole

    def sufficiency(self, effect: SetEffect) -> np.ndarray:
        """f(S) = (L(∅) − L(S)) / (L(∅) − L(M)), S alone kept; missing where L(∅) − L(M) is not positive."""
        return self._of_range(self.empty - effect.kept)

    def necessity(self, effect: SetEffect) -> np.ndarray:
        """n(S) = (L(M without S) − L(M)) / (L(∅) − L(M)); missing where L(∅) − L(M) is not positive."""
        return self._of_range(self.joint(effect))

    def _of_range(self, change: np.ndarray) -> np.ndarray:
        span = self.empty - self.whole
        return np.divide(change, span, out=np.full(len(span), np.nan), where=span > 0)

    def tells(self, effect: SetEffect) -> np.ndarray:
        """Whether the signed sum is within a factor of two of the joint change."""
        return tells(effect.signed, self.joint(effect))


def tells(signed: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """Whether sums lie between half and twice the joint changes, of the same sign; nothing tells nothing."""
    towards = signed * np.sign(joint)
    return (np.abs(joint) / 2 <= towards) & (towards <= 2 * np.abs(joint)) & ((joint != 0) | (signed == 0))


def telling_share(shares: list[float], telling: np.ndarray) -> np.ndarray:
    """The largest share at which, and at every smaller one, the sum tells; 0 where it does not at the smallest.

    Args:
        shares: from the smallest to the largest.
        telling: bool (n_shares, n).

    Returns:
        (n,).
    """
    lasting = np.logical_and.accumulate(telling, axis=0).sum(axis=0)
    return np.array([0.0, *shares])[lasting]


def area(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """∫ over the share from 0 to 1 by trapezoids, (n,).

    Args:
        shares: (n_points,), from 0 to 1, ends included.
        values: (n_points, n).
    """
    return np.trapezoid(values, shares, axis=0)


def areas(effects: TaskEffects, rule: str) -> dict[str, np.ndarray]:
    """CPR = ∫ f, CMD = ∫ |1 − f| and ∫ n of a rule's sets over their share of all neurons; f and n go from 0 to 1."""
    of_rule = effects.sets[rule].values()
    shares = np.array([0.0, *(one.n_neurons / effects.n_neurons for one in of_rule), 1.0])
    nothing, everything = np.zeros(len(effects.whole)), np.ones(len(effects.whole))
    sufficiency = np.stack([nothing, *map(effects.sufficiency, of_rule), everything])
    necessity = np.stack([nothing, *map(effects.necessity, of_rule), everything])
    return {
        "cpr": area(shares, sufficiency),
        "cmd": area(shares, np.abs(1 - sufficiency)),
        "necessity_area": area(shares, necessity),
        "telling_share_pct": telling_share(list(effects.sets[rule]), np.stack([effects.tells(one) for one in of_rule])),
    }


def value_and_interval(name: str, values: np.ndarray, confidence: float) -> dict[str, float]:
    """The columns of a number and its interval; where a replicate misses the number, its interval is missing."""
    low, high = percentile_interval(values[1:], confidence)
    return {name: float(values[0]), f"{name}_ci_low": low, f"{name}_ci_high": high}


def read_effects(paths: list[Path], replicates: int) -> list[TaskEffects]:
    """The effects of every task and ablation."""
    found = []
    for path in paths:
        frame, provenance = read_frame(path, "set effects")
        task = provenance["task"]
        chosen = resampled_examples(task, frame["id"].nunique(), replicates)
        found += [
            _task_effects(task, str(ablation), rows, chosen) for ablation, rows in frame.groupby("ablation", sort=False)
        ]
    return found


def _task_effects(task: str, ablation: str, rows: pd.DataFrame, chosen: np.ndarray) -> TaskEffects:
    sets: dict[str, dict[float, SetEffect]] = {}
    for (rule, share), of_set in rows.groupby(["rule", "share"], sort=False):
        examples = of_set.groupby("id")[["off", "kept", "signed", "absolute"]].mean()
        numbers = {column: examples[column].to_numpy()[chosen].mean(axis=1) for column in examples}
        size, draws = int(of_set["n_neurons"].iloc[0]), of_set["draw"].nunique()
        sets.setdefault(str(rule), {})[float(share)] = SetEffect(size, draws, **numbers)
    (all_neurons,) = sets.pop("all").values()
    return TaskEffects(
        task,
        ablation,
        n_neurons=all_neurons.n_neurons,
        n_test=chosen.shape[1],
        sets={rule: dict(sorted(of_rule.items())) for rule, of_rule in sets.items()},
        whole=all_neurons.kept,
        empty=all_neurons.off,
    )
