"""LoRA adapters (PEFT's) on a model that stays as it is: they are in it for a block, and nothing of PEFT is left after.

A LoRA adds (α/r)·B·A to a weight. Kept are A (r, inputs) and B (outputs, r) of each of its modules. r, α and dropout
are those published for O-LoRA, for all methods with adapters, so that these compare.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from peft import LoraConfig, PeftConfig
from peft.tuners.lora import LoraLayer, LoraModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn
from transformers import PreTrainedModel

from taskneurons.continual.method import Learnt, Stage, n_parameters, start_of
from taskneurons.data.encoding import at_least_float32
from taskneurons.models.tensors_file import Tensors
from taskneurons.neurons.blocks import family_of, frozen
from taskneurons.training.loop import Trained

RANK, SCALING, DROPOUT = 8, 4, 0.1  # α is 32
A, B = "lora_A.", "lora_B."

# PEFT's table lacks two of the supported families.
QUERY_AND_VALUE = {
    **TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING,
    "phi3": ["qkv_proj"],
    "qwen3_moe": ["q_proj", "v_proj"],
}

Parameters = dict[str, nn.Parameter]  # of an adapter, by the names of its tensors


def query_and_value(model: PreTrainedModel) -> list[str]:
    """The paths of all query and value projections; of the modules that hold them among others, where they are one.

    Raises:
        UserError: the family has no entry.
    """
    family_of(model)
    names = QUERY_AND_VALUE[model.config.model_type]
    return [path for path, _ in model.named_modules() if path.rpartition(".")[2] in names]


def sizes(model: PreTrainedModel, path: str) -> tuple[int, int]:
    """The inputs and outputs of a linear module."""
    weight = cast(torch.Tensor, model.get_submodule(path).weight)
    inputs, outputs = weight.shape if family_of(model).transposed else reversed(weight.shape)
    return inputs, outputs


def new_adapter(stage: Stage, paths: Sequence[str], rank: int = RANK) -> Tensors:
    """An adapter to start a task with, as PEFT and LoRA's authors do: A is random and B zero.

    A is another one for each task and seed.
    """
    generator, found = start_of(stage), {}
    for path in paths:
        inputs, outputs = sizes(stage.base.model, path)
        found[f"{A}{path}"] = torch.empty(rank, inputs)
        nn.init.kaiming_uniform_(found[f"{A}{path}"], a=math.sqrt(5), generator=generator)
        found[f"{B}{path}"] = torch.zeros(outputs, rank)
    return found


@contextmanager
def adapters_put(model: PreTrainedModel, adapters: Sequence[Tensors]) -> Iterator[list[Parameters]]:
    """Run the block with all these adapters active, and every parameter frozen; the model is as before after it.

    Args:
        adapters: what stages kept; tensors that are no adapter's are passed over.

    Yields:
        The parameters of each adapter, in at least float32.
    """
    configs: dict[str, PeftConfig] = {
        f"adapter{number}": _config(model, tensors) for number, tensors in enumerate(adapters)
    }
    with frozen(model):
        try:
            first, *others = configs
            # On the meta device, so that PEFT draws no random numbers: all values are given below.
            tuner = LoraModel(model, configs, first, low_cpu_mem_usage=True)
            for name in others:
                tuner.inject_adapter(model, name, low_cpu_mem_usage=True)
            found = [_give(model, name, tensors) for name, tensors in zip(configs, adapters, strict=True)]
            tuner.set_adapter(list(configs))
            model.requires_grad_(False)
            model.train(model.training)  # PEFT's new modules are in training mode, the model may not be
            yield found
        finally:
            remove_peft(model)


def _config(model: PreTrainedModel, tensors: Tensors) -> LoraConfig:
    paths = [name.removeprefix(A) for name in tensors if name.startswith(A)]
    rank = len(tensors[f"{A}{paths[0]}"])
    return LoraConfig(
        r=rank,
        lora_alpha=SCALING * rank,
        lora_dropout=DROPOUT,
        target_modules=paths,
        fan_in_fan_out=family_of(model).transposed,
    )


def _give(model: PreTrainedModel, adapter: str, tensors: Tensors) -> Parameters:
    """Give an adapter its values; its parameters."""
    found = {}
    for name, tensor in tensors.items():
        if not name.startswith((A, B)):
            continue
        kind = A if name.startswith(A) else B
        layer = cast(LoraLayer, model.get_submodule(name.removeprefix(kind)))
        linear = (layer.lora_A if kind == A else layer.lora_B)[adapter]
        found[name] = linear.weight = nn.Parameter(at_least_float32(tensor).to(layer.weight.device, copy=True))
    return found


def remove_peft(model: PreTrainedModel) -> None:
    """Put the modules that PEFT wrapped back in their places; what was not merged into them is lost."""
    for path, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


class TrainedAdapter(Trained):
    """An adapter of a model, to be trained in place."""

    def __init__(self, own: Parameters) -> None:
        self.own = own
        for parameter in own.values():
            parameter.requires_grad_(True)

    def parameters(self) -> list[nn.Parameter]:
        return list(self.own.values())


def learn_adapter(stage: Stage, trained: TrainedAdapter) -> Learnt:
    """Train an adapter that is in the model, and keep it."""
    history = stage.train(trained)
    kept = {name: parameter.detach().to("cpu", copy=True) for name, parameter in trained.own.items()}
    return Learnt(kept, history, n_parameters(trained))
