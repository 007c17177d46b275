"""Cost of training k = 10 % of the neurons: against a bound, full fine-tuning, masked gradients and LoRA.

All rivals take the same step: the same loss on the same batch, and AdamW. "masked" trains the FFN matrices whole, with
gradients set to zero outside the mask; "lora-ffn" is PEFT's LoRA (r = 16) on the same matrices, "lora-qv" (r = 8) on
the query and value projections. The bound is forward, backward of activations, the products that give k % of the FFN's
weight gradients, and AdamW on as many parameters.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from common import benchmark, in_fresh_process, print_memory_of, row, timed
from geometry import CPU, GEOMETRY, build, examples
from taskneurons.attribution.products import neuron_outputs
from taskneurons.data.encoding import Pair, collate, sample_losses
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.matrices import matrices
from taskneurons.neurons.neuron_set import NeuronSet, random_set
from taskneurons.tuning.trained_neurons import slices_of, trained_neurons

PERCENT = 10
FFN = ["gate_proj", "up_proj", "down_proj"]
LORA = {"lora-ffn": (16, FFN), "lora-qv": (8, ["q_proj", "v_proj"])}

Pairs = list[Pair]


class Training:
    """One way to train: `step` takes a step of AdamW.

    Args:
        before_step, after_step: what the way needs between backward and step, and after the step.
        mask_bytes: of what says which parameters are trained.
        context: what has to live as long as the training.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        parameters: list[torch.nn.Parameter],
        pairs: Pairs,
        before_step: Callable[[], None] = lambda: None,
        after_step: Callable[[], None] = lambda: None,
        mask_bytes: int = 0,
        context: object = None,
    ) -> None:
        self.model, self.parameters, self.pairs = model, parameters, pairs
        self.before_step, self.after_step, self.mask_bytes = before_step, after_step, mask_bytes
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
        self.gradient_bytes, self.context = 0, context

    def step(self) -> None:
        sample_losses(self.model, collate(self.pairs, CPU)).mean().backward()
        self.before_step()
        self.optimizer.step()
        self.after_step()
        self.gradient_bytes = sum(parameter.grad.nbytes for parameter in self.parameters)
        self.optimizer.zero_grad(set_to_none=True)

    def moment_bytes(self) -> int:
        states = self.optimizer.state.values()
        return sum(state[name].nbytes for state in states for name in ("exp_avg", "exp_avg_sq"))


def some_neurons(model: Any) -> NeuronSet:
    """The k % whose training is measured: random ones, of all layers."""
    return random_set(round(sum(widths(model)) * PERCENT / 100), widths(model), seed=0)


def ours(loaded: LoadedModel, pairs: Pairs) -> Training:
    """The selected neurons as parameters of their own."""
    stack = ExitStack()  # kept by the result: the context ends with it
    trained = stack.enter_context(trained_neurons(loaded.model, some_neurons(loaded.model)))
    indices = {id(one.index): one.index.nbytes for one in trained.slices}
    return Training(
        loaded.model,
        trained.parameters(),
        pairs,
        after_step=trained.write_back,
        mask_bytes=sum(indices.values()),
        context=stack,
    )


def full(loaded: LoadedModel, pairs: Pairs) -> Training:
    """Every parameter of the model."""
    loaded.model.requires_grad_(True)
    return Training(loaded.model, list(loaded.model.parameters()), pairs)


def masked(loaded: LoadedModel, pairs: Pairs) -> Training:
    """The FFN matrices whole, with gradients set to zero outside the mask."""
    weights = [matrix.weight.requires_grad_(True) for layer in matrices(loaded.model) for matrix in layer]
    masks = {}
    for _, slices in slices_of(loaded.model, some_neurons(loaded.model)):
        for one in slices:
            masks[one.whole] = torch.ones_like(one.whole, dtype=torch.bool).index_fill_(one.axis, one.index, False)

    def mask_gradients() -> None:
        for weight in weights:
            weight.grad.masked_fill_(masks[weight], 0)

    mask_bytes = sum(mask.nbytes for mask in masks.values())
    return Training(loaded.model, weights, pairs, before_step=mask_gradients, mask_bytes=mask_bytes)


def lora(loaded: LoadedModel, pairs: Pairs, name: str) -> Training:
    """PEFT's LoRA."""
    rank, targets = LORA[name]
    model = get_peft_model(loaded.model, LoraConfig(r=rank, target_modules=targets, task_type="CAUSAL_LM"))
    return Training(model, [parameter for parameter in model.parameters() if parameter.requires_grad], pairs)


def bound(loaded: LoadedModel, pairs: Pairs) -> Callable[[], None]:
    """A step's necessary work, without the engine."""
    neurons, tokens = some_neurons(loaded.model), GEOMETRY["batch"] * GEOMETRY["tokens"]
    inner, outer = torch.randn(tokens, max(neurons.counts())), torch.randn(tokens, GEOMETRY["d"])
    counts = [count for count in neurons.counts() for _ in FFN]
    parameters = [torch.nn.Parameter(torch.randn(count, GEOMETRY["d"])) for count in counts]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def step() -> None:
        with neuron_outputs(loaded.model) as outputs:
            loss = sample_losses(loaded.model, collate(pairs, CPU)).mean()
            torch.autograd.grad(loss, outputs[0][1])
        for parameter in parameters:
            parameter.grad = inner[:, : len(parameter)].T @ outer
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


TRAININGS: dict[str, Callable[[LoadedModel, Pairs], Training]] = {
    "ours": ours,
    "full": full,
    "masked": masked,
    **{name: partial(lora, name=name) for name in LORA},
}
GOALS = {"full": 0.78, "masked": 0.86, "lora-ffn": 0.95, "lora-qv": None}


def measure(what: str) -> None:
    """Print the memory of one way to train, in a process of its own."""
    loaded, pairs = build(GEOMETRY), examples(GEOMETRY, GEOMETRY["batch"])

    def two_steps() -> None:
        training = TRAININGS[what](loaded, pairs)
        training.step()
        training.step()  # the first one made the optimiser's state

    print_memory_of(two_steps)


def time_rows() -> list[dict[str, Any]]:
    pairs = examples(GEOMETRY, GEOMETRY["batch"])
    own = ours(build(GEOMETRY), pairs).step
    rows = [timed("time/bound", 1.10, own, bound(build(GEOMETRY), pairs))]
    for name, goal in GOALS.items():
        rows.append(timed(f"time/{name}", goal, own, TRAININGS[name](build(GEOMETRY), pairs).step))
    return rows


def byte_rows() -> list[dict[str, Any]]:
    """What the optimiser and the gradients hold, counted."""
    pairs = examples(GEOMETRY, GEOMETRY["batch"])
    own, other = ours(build(GEOMETRY), pairs), masked(build(GEOMETRY), pairs)
    for training in (own, other):
        training.step()
    moments = [training.moment_bytes() for training in (own, other)]
    states = [training.gradient_bytes + training.moment_bytes() + training.mask_bytes for training in (own, other)]
    with_parts = states[0] + sum(part.nbytes for part in own.parameters)  # we hold the trained entries twice
    return [
        row("optimiser-bytes/masked", 0.11, moments[0] / moments[1], *moments, "bytes"),
        row("memory-state/masked", 0.15, states[0] / states[1], *states, "bytes"),
        row("memory-state-with-parts/masked", None, with_parts / states[1], with_parts, states[1], "bytes"),
    ]


def memory_rows() -> list[dict[str, Any]]:
    found = {what: in_fresh_process(__file__, what) for what in ("ours", "masked", "full", "lora-ffn")}
    sizes = {
        name: sum(parameter.numel() for parameter in TRAININGS[name](build(GEOMETRY), []).parameters)
        for name in ("ours", "lora-ffn")
    }
    own, fair = found["ours"], found["lora-ffn"] + 16 * (sizes["ours"] - sizes["lora-ffn"]) / 2**20
    return [
        row("memory/masked", 0.8, own / found["masked"], own, found["masked"], "MiB"),
        row("memory/full", None, own / found["full"], own, found["full"], "MiB"),
        row("memory/lora-ffn-plus-16-bytes-a-parameter", 1.05, own / fair, own, fair, "MiB"),
    ]


def generation_rows() -> list[dict[str, Any]]:
    """Seconds of the same generation, on the plain model and on one without hooks that is deactivated or tuned."""
    loaded = build(GEOMETRY)
    ids = collate(examples(GEOMETRY, 8), CPU).input_ids[:, :32]

    def generate(model: Any) -> None:
        model.generate(input_ids=ids, max_new_tokens=32, min_new_tokens=32, do_sample=False, pad_token_id=0)

    def no_hook(model: Any) -> bool:
        return not any(
            module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__
            for module in model.modules()
        )

    def off() -> None:
        with deactivated(loaded.model, some_neurons(loaded.model)):
            generate(loaded.model)

    with deactivated(loaded.model, some_neurons(loaded.model)):
        assert no_hook(loaded.model)

    tuned = build(GEOMETRY)
    with trained_neurons(tuned.model, some_neurons(tuned.model)) as trained:
        for part in trained.parameters():
            part.data += 0.01
        trained.write_back()
    assert no_hook(tuned.model)
    return [
        timed("generate-deactivated/plain", 1.05, off, partial(generate, loaded.model)),
        timed("generate-tuned/plain", 1.05, partial(generate, tuned.model), partial(generate, loaded.model)),
    ]


def rows() -> list[dict[str, Any]]:
    return [*time_rows(), *byte_rows(), *memory_rows(), *generation_rows()]


if __name__ == "__main__":
    benchmark("neuron_tuning", __doc__, {**GEOMETRY, "k": PERCENT}, rows, list(TRAININGS), measure)
