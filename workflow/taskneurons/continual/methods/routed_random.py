"""Routed random: the control of Dynamic NCFT, which trains as many random neurons in each layer.

What it reaches is the router's merit and that of keeping tasks apart; only what Dynamic NCFT has beyond it is the
neurons'.
"""

from taskneurons.continual.method import Answering, Learnt, Stage, State
from taskneurons.continual.neuron_deltas import answering_routed, learn_delta
from taskneurons.continual.neuron_stages import random_neurons

NAME = "Routed random"
LEARNS = "alone"
TRAINS = "neurons"
NEEDS = ("scores",)
NEEDS_TASK_ID = False
KNOB = {"name": "temperature", "grid": [1.0, 10.0, 100.0]}


def learn(stage: Stage) -> Learnt:
    """Train random neurons of the base model, other ones for each task and seed."""
    return learn_delta(stage, random_neurons(stage))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The base model with the differences of the tasks that an input is near to."""
    return answering_routed(state, prompts)
