"""SeqLoRA: one LoRA of fixed size on query and value, which is trained on one task after the other."""

from taskneurons.continual.adapters import TrainedAdapter, adapters_put, learn_adapter, new_adapter, query_and_value
from taskneurons.continual.method import Answering, Learnt, Stage, State, everything

NAME = "SeqLoRA"
LEARNS = "in sequence"
TRAINS = "adapters"
NEEDS = ()
NEEDS_TASK_ID = False
KNOB = None


def learn(stage: Stage) -> Learnt:
    """Train the adapter from where the stage before ended."""
    model = stage.base.model
    start = stage.kept[-1] if stage.kept else new_adapter(stage, query_and_value(model))
    with adapters_put(model, [start]) as (own,):
        return learn_adapter(stage, TrainedAdapter(own))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The base model with the adapter of the last stage answers all."""
    with adapters_put(state.base.model, state.kept[-1:]):
        yield everything(prompts)
