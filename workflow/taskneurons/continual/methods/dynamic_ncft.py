"""Dynamic NCFT: what each task's own neurons learnt is kept apart, and the input chooses what answers it.

It is ours. The paper's NCFT writes the values of one task over those of another, and W-NCFT weighs them by a task that
has to be known. Here each task trains its own neurons from the base model, W = W_base + Σ_k w_k·ΔW_k is made for each
input without a task id, and the weights w, which add up to 1, are those of `continual/routing.py`. An input of no task
that was learnt is answered by the base model as it is. As trainings do not meet, a task's neurons need not be chosen
against those of other tasks: they are the paper's own.
"""

from taskneurons.continual.method import Answering, Learnt, Stage, State
from taskneurons.continual.neuron_deltas import answering_routed, learn_delta
from taskneurons.continual.neuron_stages import own_neurons

NAME = "Dynamic NCFT"
LEARNS = "alone"
TRAINS = "neurons"
NEEDS = ("scores",)
NEEDS_TASK_ID = False
KNOB = {"name": "temperature", "grid": [1.0, 10.0, 100.0]}


def learn(stage: Stage) -> Learnt:
    """Train the task's own neurons of the base model."""
    return learn_delta(stage, own_neurons(stage))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The base model with the differences of the tasks that an input is near to."""
    return answering_routed(state, prompts)
