"""Methods whose one model is all that they know: its parameters go from stage to stage."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from taskneurons.continual.method import (
    Answering,
    Learnt,
    Stage,
    State,
    everything,
    n_parameters,
    put_weights,
    weights_of,
    weights_put,
)
from taskneurons.data.encoding import Pair
from taskneurons.models.tensors_file import Tensors
from taskneurons.training.loop import Trained

WEIGHT = "weight."


def model_of(kept: Tensors) -> Tensors:
    """The model's parameters among what a stage kept."""
    return {name.removeprefix(WEIGHT): tensor for name, tensor in kept.items() if name.startswith(WEIGHT)}


def kept_model(model: PreTrainedModel) -> Tensors:
    """The model's parameters, as a stage keeps them."""
    return {f"{WEIGHT}{name}": tensor for name, tensor in weights_of(model).items()}


def go_on(stage: Stage) -> None:
    """Put the model where the stage before ended; at the first stage it is the base model."""
    if stage.kept:
        put_weights(stage.base.model, model_of(stage.kept[-1]))


def learn_on(stage: Stage, trained: Trained, pairs: Sequence[Pair] | None = None) -> Learnt:
    """Train from where the stage before ended, and keep the model."""
    go_on(stage)
    number = n_parameters(trained)
    history = stage.train(trained, pairs)
    return Learnt(kept_model(stage.base.model), history, number)


def answering_last(state: State, prompts: list[list[int]]) -> Answering:
    """The model of the last stage answers all prompts."""
    with weights_put(state.base.model, model_of(state.kept[-1])):
        yield everything(prompts)
