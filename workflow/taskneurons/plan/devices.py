"""What a device can do, by its name or measured here: what times and refusals of the plan are held against."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from taskneurons.core.errors import UserError

GIB = 2**30


@dataclass(frozen=True)
class Device:
    """A device.

    Attributes:
        name: as it is asked for.
        memory: in bytes, of the device itself; 0 for a CPU, which has the host's.
        operations: multiplications and additions a second that a model's passes reach; of a CPU, by one thread.
        bandwidth: bytes a second at which weights are read, one token at a time.
        layer_seconds: the least time of a layer's forward pass, however few its tokens.
    """

    name: str
    memory: int
    operations: float
    bandwidth: float
    layer_seconds: float

    @property
    def gpu(self) -> bool:
        return self.memory > 0


REACHED = 0.35  # of a GPU's peak in bfloat16, by passes over batches of some thousand tokens: ours, to be measured

# Peaks (bfloat16, dense) and bandwidths as their makers state them.
NAMED = {
    name: Device(name, memory * GIB, REACHED * peak * 1e12, bandwidth * 1e12, 4e-4)
    for name, memory, peak, bandwidth in (
        ("a100-40gb", 40, 312, 1.55),
        ("a100-80gb", 80, 312, 2.04),
        ("h100", 80, 989, 3.35),
        ("h200", 141, 989, 4.8),
        ("l40s", 48, 362, 0.86),
        ("rtx-4090", 24, 165, 1.01),
    )
}
# One thread of a server's core with AVX2, in float32: measured with SmolLM2-135M and the embedded default.
NAMED["cpu"] = Device("cpu", 0, 3.8e10, 8e9, 1.5e-3)


def device(name: str) -> Device:
    """A device by its name; `measured` is this machine's.

    Raises:
        UserError: no device has the name.
    """
    if name == "measured":
        return measured()
    if name not in NAMED:
        raise UserError(f"no device is called {name!r}: take one of {', '.join(NAMED)}, or measured")
    return NAMED[name]


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU, without importing PyTorch."""
    return any(Path("/dev").glob("nvidia[0-9]*")) and os.environ.get("CUDA_VISIBLE_DEVICES") != ""


def measured() -> Device:
    """This machine's device: its memory, and the operations a second of a matrix product of a model's kind."""
    import torch

    cuda = torch.cuda.is_available()
    where, dtype = ("cuda", torch.bfloat16) if cuda else ("cpu", torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one, other = (torch.ones(2048, 2048, device=where, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        product = one @ other
        product.sum().item()  # waits for a GPU
        seconds.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    reached = 2 * 2048**3 / sorted(seconds)[2]
    if not cuda:
        return replace(NAMED["cpu"], name="measured (CPU)", operations=CPU_REACHED * reached)
    like = NAMED["h100"]
    memory = torch.cuda.get_device_properties(0).total_memory
    name = f"measured ({torch.cuda.get_device_name(0)})"
    return replace(like, name=name, memory=memory, operations=0.5 * reached)


CPU_REACHED = 0.55  # of a plain matrix product, by a model's passes
