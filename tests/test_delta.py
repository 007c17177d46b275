"""Deltas: stored, applied, taken off to the bit, stacked, merged; refused on another base."""

import argparse
import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from conftest import TINY, TRAINING, loaded_of, task_file
from taskneurons import neuron_tuning, tuned_evaluation
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import LoadedModel, load_model, save_model, weights_hash
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import NeuronSet, random_set, write_mask
from taskneurons.tuning.delta import Delta, read_delta, trained_delta, with_delta, write_delta
from taskneurons.tuning.trained_neurons import trained_neurons

IDS = torch.tensor([[3, 4, 5, 6]])


def changed(loaded: LoadedModel, seed: int) -> Delta:
    """A delta of some neurons, each of whose entries was changed at random; the model keeps them."""
    neurons = random_set(7, widths(loaded.model), seed)
    generator = torch.Generator().manual_seed(seed)
    with trained_neurons(loaded.model, neurons) as trained:
        for part in trained.parameters():
            part.data += torch.randn(part.shape, generator=generator)
        trained.write_back()
        return trained_delta(loaded, trained, {"set": "some"})


@pytest.mark.parametrize("family", list(TINY))
def test_on_and_off_and_merged(family, tmp_path):
    base, other = loaded_of(family), loaded_of(family)
    write_delta(tmp_path / "one.safetensors", changed(other, 1))
    delta = read_delta(tmp_path / "one.safetensors")
    before = copy.deepcopy(base.model.state_dict())
    with with_delta(base, delta) as tuned:
        assert weights_hash(base.model) == delta.result == tuned.identity["identity"]
        logits = base.model(input_ids=IDS).logits
        assert torch.equal(logits, other.model(input_ids=IDS).logits)
        save_model(tmp_path / "merged", tuned.model, tuned.tokenizer, {"state": "tuned"})
    assert all(torch.equal(base.model.state_dict()[name], tensor) for name, tensor in before.items())
    merged = load_model(tmp_path / "merged", {"threads": 1, "device": "cpu", "dtype": "float32", "weights": "float32"})
    assert torch.equal(merged.model(input_ids=IDS).logits, logits)
    assert merged.identity["identity"] == delta.result


def test_a_delta_keeps_its_values_when_the_training_goes_on():
    loaded = loaded_of("llama")
    with trained_neurons(loaded.model, random_set(7, widths(loaded.model), 0)) as trained:
        delta = trained_delta(loaded, trained, {"set": "some"})
        for part in trained.parameters():
            part.data += 1
        trained.write_back()
    with with_delta(loaded_of("llama"), delta) as same:
        assert weights_hash(same.model) == delta.result != weights_hash(loaded.model)


def test_deltas_stack_in_the_order_of_their_training():
    base, other = loaded_of("llama"), loaded_of("llama")
    first = changed(other, 1)
    second = changed(replace(other, identity={"identity": first.result}), 2)
    before = weights_hash(base.model)
    with with_delta(base, first) as one:
        with with_delta(one, second) as two:
            assert weights_hash(base.model) == weights_hash(other.model) == two.identity["identity"]
        assert weights_hash(base.model) == first.result
    assert weights_hash(base.model) == before
    with pytest.raises(UserError, match=r"trained from model .*, but this model is"), with_delta(base, second):
        pass
    narrow = replace(base, compute=replace(base.compute, weights=torch.bfloat16))
    with pytest.raises(UserError, match=r"in torch\.float32, but this model's are in"), with_delta(narrow, first):
        pass


def test_the_file_holds_the_trained_entries_and_where_they_belong(tmp_path):
    base = loaded_of("llama")
    delta = changed(base, 1)
    write_delta(tmp_path / "one.safetensors", delta)
    with safe_open(tmp_path / "one.safetensors", "pt") as file:
        size = sum(file.get_tensor(name).numel() for name in file.keys() if name != "neurons")  # noqa: SIM118
        assert file.get_tensor("neurons").tolist() == np.flatnonzero(delta.neurons.selected).tolist()
    assert size == 7 * 3 * 16  # neurons, matrices, width of the residual stream
    back = read_delta(tmp_path / "one.safetensors")
    assert back.neurons == delta.neurons and (back.base, back.result) == (delta.base, delta.result)
    assert back.facts["set"] == "some"


def test_files_that_are_no_deltas_are_told(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_delta(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(UserError, match="is not a safetensors file"):
        read_delta(tmp_path / "text.safetensors")
    loaded_of("llama").model.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="holds no delta"):
        read_delta(tmp_path / "model" / "model.safetensors")


def test_from_masks_to_deltas_to_predictions(tmp_path, monkeypatch):
    """The two commands: deltas reach the state that their training had, and the base model stays what it was."""
    base = loaded_of("llama")
    for module in (neuron_tuning, tuned_evaluation):
        monkeypatch.setattr(module, "load_model", lambda path, settings: base)
    before = weights_hash(base.model)
    sizes = widths(base.model)
    sets = {"one": random_set(7, sizes, 1), "random-0": random_set(7, sizes, 2), "two": random_set(7, sizes, 3)}
    masks, outs = [], []
    for name, neurons in sets.items():
        made = {"set": name, "rule": name.split("-")[0], "k": 10, "model": before}
        masks.append(tmp_path / f"{name}.parquet")
        outs.append(tmp_path / f"{name}.safetensors")
        write_mask(masks[-1], NeuronSet(neurons.selected, sizes), [None] * len(sizes), None, made)
    data = task_file(tmp_path / "data.parquet", "one")
    paths = {"metrics": tmp_path / "training.parquet", "checkpoints": tmp_path / "checkpoints", "out": outs}
    options = {"spec": {"training": TRAINING, "seed": 0, "compute": {}}, "model": "base", "data": data}
    neuron_tuning.main(argparse.Namespace(**options, validation=[data], masks=masks, **paths))
    assert weights_hash(base.model) == before
    history = read_frame(tmp_path / "training.parquet", "training")[0]
    assert history.groupby("set", sort=False).size().to_dict() == {"one": 4, "random-0": 4, "two": 4}
    assert history["validation_loss"].notna().sum() == 6
    for out, neurons in zip(outs, sets.values(), strict=True):
        delta = read_delta(out)
        assert delta.neurons == neurons and delta.base == before
        with with_delta(base, delta):
            assert weights_hash(base.model) == delta.result != before
    evaluation = {"batch_size": 2, "label_score": "sum", "cross_task_examples": 3}
    spec = {"evaluation": evaluation, "named_by": "set", "compute": {}}
    arguments = {"spec": spec, "model": "base", "deltas": outs}
    for task, expected in (("one", [4, 4, 3]), ("three", [3, 3, 3])):
        data = task_file(tmp_path / "data.parquet", task)
        tuned_evaluation.main(argparse.Namespace(**arguments, data=data, out=tmp_path / "predictions.parquet"))
        frame = read_frame(tmp_path / "predictions.parquet", "predictions")[0]
        assert frame.groupby("condition", sort=False).size().to_dict() == dict(
            zip(["one", "random-0", "two-on-one"], expected, strict=True)
        )
    with pytest.raises(UserError, match="which another delta is of already"):
        arguments["deltas"] = [outs[0], outs[0]]
        tuned_evaluation.main(argparse.Namespace(**arguments, data=data, out=tmp_path / "predictions.parquet"))
