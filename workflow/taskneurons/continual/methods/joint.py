"""Joint training: all parameters, trained on all tasks at once; what the methods in sequence may hope for at best."""

from taskneurons.continual.method import Answering, Learnt, Stage, State
from taskneurons.continual.whole_model import answering_last, learn_on
from taskneurons.training.loop import WholeModel

NAME = "Joint"
LEARNS = "jointly"
TRAINS = "all parameters"
NEEDS = ("earlier examples",)
NEEDS_TASK_ID = False
KNOB = None


def learn(stage: Stage) -> Learnt:
    """Train all parameters of the base model on the examples of all tasks."""
    pairs = [pair for lesson in stage.lessons for pair in lesson.pairs]
    return learn_on(stage, WholeModel(stage.base.model), pairs)


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The one model answers all."""
    return answering_last(state, prompts)
