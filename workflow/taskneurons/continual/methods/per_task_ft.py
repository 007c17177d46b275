"""Per-Task FT: a model of its own for each task, which the test's task id chooses; nothing can be forgotten.

Its accuracies are the A_i of the paper's FG, for all methods.
"""

from taskneurons.continual.method import Answering, Learnt, Stage, State, everything, n_bytes, weights_put
from taskneurons.continual.whole_model import learn_on, model_of
from taskneurons.training.loop import WholeModel

NAME = "Per-Task FT"
LEARNS = "alone"
TRAINS = "all parameters"
NEEDS = ()
NEEDS_TASK_ID = True
KNOB = None


def learn(stage: Stage) -> Learnt:
    """Train all parameters of the base model on the task."""
    learnt = learn_on(stage, WholeModel(stage.base.model))
    return Learnt(learnt.tensors, learnt.history, learnt.parameters, n_bytes(learnt.tensors))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The task's own model answers; before the task was learnt, the base model."""
    own = dict(zip(state.tasks, state.kept, strict=True)).get(str(task), {})
    with weights_put(state.base.model, model_of(own)):
        yield everything(prompts)
