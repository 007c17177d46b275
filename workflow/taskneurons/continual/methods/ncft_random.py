"""NCFT-random: the control of NCFT, which trains as many random neurons in each layer."""

from taskneurons.continual.method import Answering, Learnt, Stage, State
from taskneurons.continual.neuron_stages import answering_last, learn_neurons, random_neurons

NAME = "NCFT-random"
LEARNS = "in sequence"
TRAINS = "neurons"
NEEDS = ("scores", "all stages")
NEEDS_TASK_ID = False
KNOB = None


def learn(stage: Stage) -> Learnt:
    """Train random neurons, other ones for each task and seed, from where the stage before ended."""
    return learn_neurons(stage, random_neurons(stage))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The model of the last stage answers all."""
    return answering_last(state, prompts)
