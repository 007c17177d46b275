"""W-NCFT-delta, the well-behaved form of W-NCFT: W = W_base + Σ_k w_k·ΔW_k.

ΔW_k is the difference that stage k made, and w the softmax of the cosines over the knob, a temperature, scaled so that
the largest is 1: what was learnt of the nearest task counts in full.
"""

from taskneurons.continual.features import MEAN, similarities, task_features, tested_mean
from taskneurons.continual.method import Answering, Learnt, Stage, State, everything, n_bytes
from taskneurons.continual.neuron_stages import differences, differences_added, learn_neurons, own_neurons

NAME = "W-NCFT-delta"
LEARNS = "in sequence"
TRAINS = "neurons"
NEEDS = ("scores", "all stages")
NEEDS_TASK_ID = True
KNOB = {"name": "temperature", "grid": [0.05, 0.01, 1.0]}


def learn(stage: Stage) -> Learnt:
    """Train as NCFT; the values of each stage and the task's mean features are kept."""
    mean = {MEAN: task_features(stage.base, stage.lesson)[MEAN]}
    learnt = learn_neurons(stage, own_neurons(stage))
    tensors = learnt.tensors | mean
    return Learnt(tensors, learnt.history, learnt.parameters, n_bytes(tensors))


def answering(state: State, prompts: list[list[int]], task: str | None) -> Answering:
    """The base model with the weighted differences of all stages answers all."""
    assert state.settings.knob is not None
    features = tested_mean(state, prompts, str(task))
    weights = (similarities(state.kept, features) / state.settings.knob).softmax(dim=0)
    model = state.base.model
    changes = differences(model, state.kept)
    with differences_added(model, state.kept, changes, (weights / weights.max()).tolist()):
        yield everything(prompts)
