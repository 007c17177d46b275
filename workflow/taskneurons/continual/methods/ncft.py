"""NCFT: at each stage only the task's own neurons are trained, those of the base model (the paper's method)."""

from taskneurons.continual.method import Answering, Learnt, Stage, State
from taskneurons.continual.neuron_stages import answering_last, learn_neurons, own_neurons

NAME = "NCFT"
LEARNS = "in sequence"
TRAINS = "neurons"
NEEDS = ("scores", "all stages")
NEEDS_TASK_ID = False
KNOB = None


def learn(stage: Stage) -> Learnt:
    """Train the task's own neurons from where the stage before ended."""
    return learn_neurons(stage, own_neurons(stage))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The model of the last stage answers all."""
    return answering_last(state, prompts)
