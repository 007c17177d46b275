"""Deltas: stored, applied, taken off to the bit, stacked, merged; refused on another base."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from conftest import TINY, TRAINING, loaded_of, task_file
from taskneurons.config.settings import DeviceSettings, EvaluationSection
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import LoadedModel, load_model, save_model, weights_hash
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.mask_file import write_mask
from taskneurons.neurons.neuron_set import random_set
from taskneurons.tuning import evaluate, tune
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
        assert weights_hash(base.model) == delta.result == tuned.identity
        logits = base.model(input_ids=IDS).logits
        assert torch.equal(logits, other.model(input_ids=IDS).logits)
        save_model(tmp_path / "merged", tuned.model, tuned.tokenizer, {"state": "tuned"})
    assert all(torch.equal(base.model.state_dict()[name], tensor) for name, tensor in before.items())
    merged = load_model(tmp_path / "merged", DeviceSettings(device="cpu", dtype="float32"))
    assert torch.equal(merged.model(input_ids=IDS).logits, logits)
    assert merged.identity == delta.result


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
    second = changed(replace(other, provenance={"identity": first.result}), 2)
    before = weights_hash(base.model)
    with with_delta(base, first) as one:
        with with_delta(one, second) as two:
            assert weights_hash(base.model) == weights_hash(other.model) == two.identity
            assert two.parent == first.result
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
    assert back.provenance["set"] == "some"


def test_files_that_are_no_deltas_are_told(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_delta(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(UserError, match="is not a safetensors file"):
        read_delta(tmp_path / "text.safetensors")
    loaded_of("llama").model.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="holds 'no artifact of this workflow', where 'delta' is needed"):
        read_delta(tmp_path / "model" / "model.safetensors")


SETS = {"one10": ("one", 7), "random10-draw0": ("random-0", 7), "two10": ("two", 5)}  # name of the delta → its set


@pytest.fixture
def base(monkeypatch) -> LoadedModel:
    base = loaded_of("llama")
    for module in (tune, evaluate):
        monkeypatch.setattr(module, "load_model", lambda path, settings: base)
    return base


def masks_of(base, folder, model=None):
    """The masks of SETS, by the names of their deltas."""
    sizes, masks = widths(base.model), {}
    for seed, (delta, (name, number)) in enumerate(SETS.items()):
        made = {"set": name, "rule": "global", "k": 10.0, "model": model or base.identity}
        if name.startswith("random"):
            made |= {"rule": "random", "draw": 0}
        masks[delta] = folder / f"mask-{delta}.parquet"
        write_mask(masks[delta], random_set(number, sizes, seed), [None] * len(sizes), None, made)
    return masks


def tune_all(folder, masks, names):
    """Train masks on the task "one", to deltas of these names."""
    data = task_file(folder / "data.parquet", "one")
    deltas = [folder / f"{name}.safetensors" for name in names]
    settings = tune.TuningSettings(training=TRAINING, seed=0, compute=DeviceSettings())
    paths = {"metrics": folder / "training.parquet", "checkpoints": folder / "checkpoints", "deltas": deltas}
    tune.main(settings, base=Path("base"), data=data, validation=[data], masks=masks, **paths)
    return deltas


def test_from_masks_to_deltas_to_predictions(base, tmp_path):
    """The two steps: deltas reach the state that their training had, and the base model stays what it was."""
    before = weights_hash(base.model)
    deltas = tune_all(tmp_path, list(masks_of(base, tmp_path).values()), SETS)
    assert weights_hash(base.model) == before
    history = read_frame(tmp_path / "training.parquet", "training")[0]
    assert history.groupby("set", sort=False).size().to_dict() == {"one": 4, "random-0": 4, "two": 4}
    assert history["validation_loss"].notna().sum() == 6
    for seed, (path, (name, number)) in enumerate(zip(deltas, SETS.values(), strict=True)):
        delta = read_delta(path)
        assert delta.neurons == random_set(number, widths(base.model), seed) and delta.base == before
        assert (delta.provenance["set"], delta.provenance["task"]) == (name, "one")
        with with_delta(base, delta):
            assert weights_hash(base.model) == delta.result != before
    settings = evaluate.TunedSettings(
        evaluation=EvaluationSection(batch_size=2, cross_task_examples=3), named_by="set", compute=DeviceSettings()
    )
    predictions = tmp_path / "predictions.parquet"
    for task, expected in (("one", [4, 4, 3]), ("three", [3, 3, 3])):
        data = task_file(tmp_path / "data.parquet", task)
        evaluate.main(settings, base=Path("base"), data=data, deltas=deltas, predictions=predictions)
        frame = read_frame(predictions, "predictions")[0]
        assert frame.groupby("condition", sort=False).size().to_dict() == dict(
            zip(["one", "random-0", "two-on-one"], expected, strict=True)
        )
    with pytest.raises(UserError, match="which another delta is of already"):
        evaluate.main(settings, base=Path("base"), data=data, deltas=[deltas[0]] * 2, predictions=predictions)


def test_masks_and_deltas_are_matched_by_name_in_any_order(base, tmp_path):
    (tmp_path / "other").mkdir()
    masks = masks_of(base, tmp_path)
    tune_all(tmp_path, list(masks.values()), list(SETS))
    tune_all(tmp_path / "other", list(masks.values())[::-1], [*list(SETS)[1:], "one10"])
    for name in SETS:
        one, other = (read_delta(folder / f"{name}.safetensors") for folder in (tmp_path, tmp_path / "other"))
        assert one.neurons == other.neurons
        assert one.result == other.result


def test_masks_and_deltas_that_do_not_match_are_told(base, tmp_path):
    masks = list(masks_of(base, tmp_path).values())

    def told(masks, names, match):
        with pytest.raises(UserError, match=match):
            tune_all(tmp_path, masks, names)
        assert not list(tmp_path.glob("*.safetensors")) and not (tmp_path / "training.parquet").exists()

    told(masks, ["one10", "random10-draw0"], "makes the delta 'two10', which is not asked for")
    told(masks[:2], SETS, "no mask makes the delta 'two10'")
    told([masks[0], masks[0]], ["one10"], "makes the delta 'one10', which is made twice")
    told(list(masks_of(base, tmp_path, "another").values()), SETS, "selected on model another, but this model is")
