"""Jobs that no device of the planned kind can hold, and what would make them fit."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from taskneurons.plan.devices import GIB, Device
from taskneurons.plan.geometry import Geometry
from taskneurons.plan.needs import How, needs
from taskneurons.plan.work import Work

FEWER = 8  # so many times fewer tokens at once are thought of
MOST = 64  # GPUs


@dataclass(frozen=True)
class Change:
    """Settings that a job could have, by what the user would set.

    Attributes:
        text: what to set.
        work, using: what differs then, by the names of their attributes.
    """

    text: str
    work: dict[str, Any] = field(default_factory=dict)
    using: dict[str, Any] = field(default_factory=dict)


def too_large(jobs: Iterable[tuple[str, Work, How]], model: Geometry, on: Device) -> str:
    """What is larger than a device, a line a rule, or nothing.

    Args:
        jobs: the rule, what is asked of the model, and how it computes.
    """
    most: dict[str, tuple[int, Work, How]] = {}
    for rule, work, using in jobs:
        taken = needs(work, model, on, using).device
        if taken > max(on.memory, most[rule][0] if rule in most else 0):
            most[rule] = (taken, work, using)
    lines = [
        f"{rule} takes about {taken / GIB:.0f} GiB of a GPU, and {on.name} has {on.memory / GIB:.0f}: "
        f"{remedy(work, model, on, using)}"
        for rule, (taken, work, using) in most.items()
    ]
    return "\n".join(lines)


def remedy(work: Work, model: Geometry, on: Device, using: How) -> str:
    """What would make a job fit: each setting that is enough, or all that help together; and other devices."""

    def taken(change: Change) -> int:
        return needs(replace(work, **change.work), model, on, replace(using, **change.using)).device

    before = taken(Change(""))
    helping = [change for change in changes(work, using) if taken(change) < before]
    together = Change(
        ", and ".join(change.text for change in helping),
        {name: value for change in helping for name, value in change.work.items()},
        {name: value for change in helping for name, value in change.using.items()},
    )
    enough = [change for change in helping if taken(change) <= on.memory]
    if not enough and taken(together) <= on.memory:
        enough = [together]
    number = next((n for n in range(2, MOST) if taken(Change("", using={"gpus": n})) <= on.memory), None)
    several = f", or {number} of them (compute.device: spread, compute.gpus: {number})" if number else ""
    said = [f"set {', or '.join(change.text for change in enough)}"] if enough else []
    return "; or ".join([*said, f"take a larger GPU (compute.gpu){several}"])


def changes(work: Work, using: How) -> list[Change]:
    """The settings that may make a job smaller and are not made yet."""
    found = []
    if using.weights == "float32" and using.dtype != "float32":
        key, price = ("trained", " (8 bytes a parameter for 16, less exact)") if work.trained else ("frozen", "")
        found.append(Change(f"compute.{key}_weights: compute{price}", {}, {"weights": "compute"}))
    training = work.trained or work.tuned
    if training and not using.checkpointing:
        found.append(Change("compute.gradient_checkpointing: true", {}, {"checkpointing": True}))
    if training:
        key = "compute.training_batch_tokens"
    else:
        key = "attribution.batch_tokens" if work.back else "evaluation.batch_size"
    fewer = {name: getattr(work, name) / FEWER for name in ("back", "batch", "targets")}
    return [*found, Change(f"{key} {FEWER} times lower", fewer, {})]
