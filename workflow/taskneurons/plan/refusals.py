"""Jobs that no device of the planned kind can hold, and what would make them fit."""

from collections.abc import Iterable

from taskneurons.plan.devices import GIB, Device
from taskneurons.plan.work import Work


def too_large(jobs: Iterable[tuple[str, Work, int]], on: Device) -> str:
    """What is larger than a device, a line a rule, or nothing.

    Args:
        jobs: the rule, what is asked of the model, and the bytes of one device's memory of each job.
    """
    most: dict[str, tuple[int, Work]] = {}
    for rule, work, taken in jobs:
        if taken > max(on.memory, most[rule][0] if rule in most else 0):
            most[rule] = (taken, work)
    lines = [
        f"{rule} takes about {taken / GIB:.0f} GiB of a GPU, and {on.name} has {on.memory / GIB:.0f}: {remedy(work)}"
        for rule, (taken, work) in most.items()
    ]
    return "\n".join(lines)


def remedy(work: Work) -> str:
    """What would make a job smaller."""
    spread = "a larger GPU (compute.gpu), or several with compute.device: spread and compute.gpus"
    if work.trained:
        return (
            "set compute.trained_weights: compute (8 bytes a parameter for 16, less exact), lower "
            f"compute.training_batch_tokens, set compute.gradient_checkpointing: true, or take {spread}"
        )
    if work.back:
        return (
            "set compute.frozen_weights: compute, lower compute.training_batch_tokens or attribution.batch_tokens, set "
            f"compute.gradient_checkpointing: true, or take {spread}"
        )
    return f"set compute.frozen_weights: compute, lower evaluation.batch_size, or take {spread}"
