"""From what a job asks of its model to memory, time and disk, by the model's sizes and a device.

The shares and factors here were fitted to measured jobs of SmolLM2-135M, which a test holds them against.
"""

from dataclasses import dataclass

from taskneurons.plan.devices import Device
from taskneurons.plan.geometry import Geometry
from taskneurons.plan.work import Job, Work, kept_share

MIB = 2**20

FILLED = 0.6  # of their token budgets that prompts and targets take, on average
PROCESS = 540 * MIB  # Python, PyTorch and transformers
PLAIN_PROCESS = 450 * MIB  # without a model
CUDA = 600 * MIB  # on the device, and as much more on the host
START = 1.0  # seconds until a step begins
READING = 1e9  # bytes a second
IMPORTING = 3e7  # bytes a second: read, checked, hashed and written

FRAGMENT, FRAGMENTS = 1.2 * MIB, 500 * MIB  # a pass, and at most; never more than the weights
TABLE = 100  # bytes a neuron and task, of scores that are compared

# Passes of a training, by what it trains, beside one forward: to the inputs, and to the weights.
BACK = {"scored": 1.0, "tuned": 0.75, "trained": 2.5}


@dataclass(frozen=True)
class Needs:
    """What a job takes at most, and how long about.

    Attributes:
        host, device: bytes of memory of the machine, and of one device (0 where there is none).
        seconds: on an idle device.
    """

    host: int
    device: int
    seconds: float


@dataclass(frozen=True)
class How:
    """How a job computes: the settings of its step that memory and time depend on.

    Attributes:
        threads: of a CPU.
        dtype: of the computation: auto, float32, bfloat16, float16.
        weights: float32, or compute (that of the computation).
        checkpointing: activations are computed anew in the backward pass.
        gpus: over how many of them the layers are spread.
    """

    threads: int = 1
    dtype: str = "auto"
    weights: str = "float32"
    checkpointing: bool = False
    gpus: int = 1


def how(job: Job, gpus: int) -> How:
    """How a job computes, by its spec."""
    compute = job.spec.get("compute", {})
    given = {name: compute[name] for name in ("threads", "dtype", "weights") if name in compute}
    checkpointing = job.spec.get("training", {}).get("gradient_checkpointing", False)
    return How(**given, checkpointing=checkpointing, gpus=gpus)


def needs(work: Work, model: Geometry, on: Device, using: How) -> Needs:
    """What a job takes, without the disk.

    Args:
        work: what it asks of its model.
        on: where the model computes.
    """
    if work.loads == 0:
        tables = work.tables * model.layers * model.neurons * TABLE
        return Needs(PLAIN_PROCESS + tables, 0, START)
    if work.imports:
        weights = work.imports * model.parameters
        return Needs(PROCESS + weights, 0, START + weights / IMPORTING)
    narrow = on.gpu and using.dtype != "float32" and not work.wide
    size = 2 if narrow and using.weights == "compute" else 4
    weights = size * model.parameters
    passes = _activations(work, model, 2 if narrow else 4, using.checkpointing)
    own = work.loads * weights + _trained(work, model, size) + passes
    seconds = START + work.loads * weights / READING + _seconds(work, model, on, using.threads, weights)
    if on.gpu:  # the weights are read into the host's memory first; a training's state is kept from there
        host = PROCESS + CUDA + max(weights, _trained(work, model, size))
        return Needs(host, CUDA + own // using.gpus, seconds)
    return Needs(PROCESS + own + min(weights, _fragments(work)), 0, seconds)


def _fragments(work: Work) -> int:
    """What the host's allocator keeps between passes of different sizes, which grows with their number: as measured."""
    tokens = work.forward + work.scored + work.tuned + work.trained
    return int(min(FRAGMENTS, FRAGMENT * tokens / max(1, work.batch, work.back)))


def _trained(work: Work, model: Geometry, size: int) -> int:
    """Gradients and both moments of what is trained; trained neurons are copies in float32 besides."""
    if work.trained:
        return 3 * size * model.parameters
    return int(16 * work.share * model.ffn_parameters)


def _activations(work: Work, model: Geometry, size: int, checkpointing: bool) -> int:
    """What passes keep: of every layer for a backward pass, of one at a time without."""
    active = model.active
    layer = 7 * model.width + (4 if model.matrices == 3 else 2) * active  # numbers a token
    kept = (model.layers * model.width + layer) if checkpointing else model.layers * layer
    logits = work.targets * model.vocabulary * 4  # in float32, with their log-softmax, and with its gradient
    back = work.back * kept * size + (3 * logits if work.back else 0)
    forward = work.batch * (3 * model.width + 3 * active) * size + 2 * logits
    return int(max(back, forward))


def _seconds(work: Work, model: Geometry, on: Device, threads: int, weights: int) -> float:
    """The time of all passes: of their operations, and the least that so many passes take."""
    rate = on.operations if on.gpu else on.operations * threads
    tokens = FILLED * (work.forward + sum(getattr(work, kind) * (1 + BACK[kind]) for kind in BACK))
    at_once = max(1.0, FILLED * max(work.batch, work.back))
    computing = tokens * model.token_operations / rate
    least = tokens / at_once * model.layers * on.layer_seconds
    rows = max(1.0, work.targets)
    each = max(rows * (model.token_operations + model.output_operations) / rate, weights / on.bandwidth)
    generating = FILLED * work.generated / rows * max(each, model.layers * on.layer_seconds)
    return computing + least + generating


def disk(job: Job, model: Geometry) -> int:
    """The bytes of a job's outputs, by their keywords; tables of results are small."""
    neurons = model.layers * model.neurons
    share = kept_share(job) if "state" in job.outputs else 0
    sizes = {
        "model": 4 * model.parameters,
        "deltas": 0.1 * 4 * model.ffn_parameters,
        "bootstrap": 400 * neurons,
        "scores": 8 * neurons,
        "means": 8 * neurons,
        "masks": neurons,
        "state": 4 * (model.parameters if share is None else share * model.ffn_parameters),
    }
    return int(sum(sizes.get(keyword, 0) * len(paths) for keyword, paths in job.outputs.items()))
