"""Stages of continual learning on tiny random models, built by hand: each on a base model of its own, as a job has."""

import random
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from conftest import TRAINING, loaded_of
from taskneurons.continual.method import Learnt, Lesson, Settings, Stage, State
from taskneurons.core.named import named
from taskneurons.data.encoding import Pair
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import NeuronSet, random_in_layers, top_share
from taskneurons.training.checkpoint import Checkpoint

TASKS = ["one", "two", "three"]
PERCENT = 20.0


def pairs_of(task: str, number: int = 8) -> list[Pair]:
    """Examples of two classes: 8 steps of the conftest's training. Tasks have no word in common but the labels."""
    draw = random.Random(task)
    first = 10 + 90 * TASKS.index(task)
    return [
        ([draw.randrange(first, first + 90) for _ in range(draw.randint(3, 7))], [3 + n % 2, 1]) for n in range(number)
    ]


def scores_of(task: str, model) -> np.ndarray:
    return np.random.default_rng(list(task.encode())).random(sum(widths(model)))


def top_of(task: str, model, percent: float = PERCENT) -> NeuronSet:
    """The task's own neurons."""
    return top_share(scores_of(task, model), percent, tuple(widths(model)))


def random_of(task: str, model, seed: int = 0) -> NeuronSet:
    """As many in each layer, by the seed that says the task and the training's."""
    own = top_of(task, model)
    return random_in_layers(own.counts(), own.widths, [seed, *task.encode()])


def method_of(name: str) -> ModuleType:
    return named("continual.methods", name)


def stage_of(
    name: str, tasks: list[str], kept: list, folder: Path, family: str = "llama", training=TRAINING, **settings
) -> Stage:
    """The stage at which the last of the tasks is learnt; what a method does not need it does not get."""
    method, base = method_of(name), loaded_of(family)
    with_scores, earlier = ("scores" in method.NEEDS), ("earlier examples" in method.NEEDS)
    lessons = [
        Lesson(
            task,
            pairs_of(task) if earlier or task == tasks[-1] else [],
            scores_of(task, base.model) if with_scores else None,
        )
        for task in (tasks[-1:] if method.LEARNS == "alone" else tasks)
    ]
    knob = settings.pop("knob", method.KNOB and method.KNOB["grid"][0])
    percent = PERCENT if {"scores", "percent"} & set(method.NEEDS) else 0.0
    with_all = Settings(**{"percent": percent, "scope": "global", "knob": knob, "seed": 0, **settings})
    kept = kept if "all stages" in method.NEEDS else kept[-1:]
    kept = kept if method.LEARNS == "in sequence" else []
    checkpoint = Checkpoint(folder / f"{'-'.join(tasks)}.safetensors", name)
    return Stage(base, lessons, kept, with_all, training, checkpoint)


def learn_all(name: str, tasks: list[str], folder: Path, **options) -> list[tuple[Stage, Learnt]]:
    """All stages of a sequence, each with its model as it ended; of a method that learns jointly, the last alone."""
    method, found = method_of(name), []
    for number in range(1, len(tasks) + 1):
        if method.LEARNS == "jointly" and number < len(tasks):
            continue
        stage = stage_of(name, tasks[:number], [learnt.tensors for _, learnt in found], folder, **options)
        found.append((stage, method.learn(stage)))
        stage.checkpoint.remove()
    return found


def state_of(stages: list[tuple[Stage, Learnt]], tasks: list[str]) -> State:
    """What is known after these stages, with a base model as it is."""
    last, _ = stages[-1]
    family = last.base.provenance["model_type"]
    return State(loaded_of(family), tasks, [learnt.tensors for _, learnt in stages], last.settings)


def bits(model) -> dict[str, torch.Tensor]:
    """A copy of all that a model holds."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether they are equal to the bit."""
    assert one.keys() == other.keys()
    return all(one[name].numpy().tobytes() == other[name].numpy().tobytes() for name in one)


def answers(name: str, state: State, prompts: list[list[int]], task: str | None = None) -> list:
    """(rows, routed, the bits of the answering model) of each group; the model is as before afterwards."""
    before = bits(state.base.model)
    found = [(rows, routed, bits(state.base.model)) for rows, routed in method_of(name).answering(state, prompts, task)]
    assert same(bits(state.base.model), before)
    return found


def answering_model(name: str, state: State, prompts: list[list[int]], task: str | None = None) -> dict:
    """The bits of the model of a method that answers all prompts alike."""
    [(rows, routed, found)] = answers(name, state, prompts, task)
    assert rows == list(range(len(prompts))) and routed == ""
    return found
