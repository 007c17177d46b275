"""Checkpoints of a training, so that a killed job goes on where it was: safetensors, never pickle.

A checkpoint is one safetensors file with everything that the next step depends on: the trained parameters, the state of
the optimiser, the random state, and, as metadata, the record of the training so far and the key of the training.
"""

import json
import logging
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from taskneurons.core.errors import UserError
from taskneurons.models.tensors_file import read_tensors, write_tensors

KIND = "checkpoint"
RANDOM = "random"
STATE = "state."
SECONDS_VARIABLE = "TASKNEURONS_CHECKPOINT_SECONDS"  # in no spec: how often a state is kept changes no result

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saved:
    """What a checkpoint gives back.

    Attributes:
        record: the record of the training so far.
        best: the parameters of the best epoch so far; empty if none are kept.
        state: what the training's hooks kept.
    """

    record: Any
    best: list[torch.Tensor]
    state: dict[str, torch.Tensor]


@dataclass
class Checkpoint:
    """Where a training keeps its state.

    Attributes:
        path: the file.
        key: which training it is: all that decides its result. Only the same training takes the state up.
        seconds: a state is written at most so often.
    """

    path: Path
    key: str
    seconds: float = field(default_factory=lambda: float(os.environ.get(SECONDS_VARIABLE, 600)))
    saved: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        return time.monotonic() - self.saved >= self.seconds

    def save(
        self,
        parameters: list[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        best: list[torch.Tensor],
        record: Any,
        state: dict[str, torch.Tensor],
    ) -> None:
        """Write the state, atomically.

        Args:
            best, record, state: as in `Saved`; the record is whatever JSON can hold.
        """
        tensors = {RANDOM: torch.get_rng_state()}
        for number, parameter in enumerate(parameters):
            tensors[f"{number}.parameter"] = parameter
            tensors |= {f"{number}.optimizer.{name}": value for name, value in optimizer.state[parameter].items()}
        tensors |= {f"{number}.best": tensor for number, tensor in enumerate(best)}
        tensors |= {f"{STATE}{name}": tensor for name, tensor in state.items()}
        write_tensors(self.path, tensors, KIND, {"key": self.key, "record": json.dumps(record)})
        self.saved = time.monotonic()

    def take_up(self, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> Saved | None:
        """Put the state into the parameters, the optimiser and the random generator; None without one to take up."""
        tensors, record = self._read()
        if not tensors:
            return None
        torch.set_rng_state(tensors[RANDOM])
        for number, parameter in enumerate(parameters):
            parameter.data.copy_(tensors[f"{number}.parameter"])
            prefix = f"{number}.optimizer."
            for name in [name for name in tensors if name.startswith(prefix)]:
                # The fused AdamW keeps all its state where the parameter is, the count of steps too.
                optimizer.state[parameter][name.removeprefix(prefix)] = tensors[name].to(parameter.device)
        best = [tensors[f"{number}.best"] for number in range(len(parameters)) if f"{number}.best" in tensors]
        state = {name.removeprefix(STATE): tensor for name, tensor in tensors.items() if name.startswith(STATE)}
        return Saved(record, best, state)

    def remove(self) -> None:
        """Delete the file, and what a job that was killed while it wrote has left beside it."""
        for scratch in self.path.parent.glob(f".{self.path.name}.*"):
            shutil.rmtree(scratch)
        self.path.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, torch.Tensor], Any]:
        if not self.path.is_file():
            return {}, None
        try:
            tensors, note = read_tensors(self.path, KIND)
        except UserError as problem:
            log.info("no use of the kept state, the training starts anew: %s", problem)
            return {}, None
        if note["key"] != self.key:
            log.info("%s belongs to another training: starting anew", self.path)
            return {}, None
        return tensors, json.loads(note["record"])
