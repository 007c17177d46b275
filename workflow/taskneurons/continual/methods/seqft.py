"""SeqFT: all parameters, trained on one task after the other."""

from taskneurons.continual.method import Answering, Learnt, Stage, State
from taskneurons.continual.whole_model import answering_last, learn_on
from taskneurons.training.loop import WholeModel

NAME = "SeqFT"
LEARNS = "in sequence"
TRAINS = "all parameters"
NEEDS = ()
NEEDS_TASK_ID = False
KNOB = None


def learn(stage: Stage) -> Learnt:
    """Train all parameters from where the stage before ended."""
    return learn_on(stage, WholeModel(stage.base.model))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The model of the last stage answers all."""
    return answering_last(state, prompts)
