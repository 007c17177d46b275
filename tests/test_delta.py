"""Deltas: stored, applied, taken off to the bit, stacked, merged; refused on another base."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from conftest import TINY, TUNING, loaded_of, rates_file, task_file
from taskneurons.config.settings import DeviceSettings, EvaluationSection
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import LoadedModel, load_model, save_model, weights_hash
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.mask_file import write_mask
from taskneurons.neurons.neuron_set import random_set
from taskneurons.tuning import evaluate, tune, watched
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
        assert weights_hash(base.model) == weights_hash(other.model) and delta.result == tuned.identity
        logits = base.model(input_ids=IDS).logits
        assert torch.equal(logits, other.model(input_ids=IDS).logits)
        save_model(tmp_path / "merged", tuned.model, tuned.tokenizer, {"identity": tuned.identity})
    assert all(torch.equal(base.model.state_dict()[name], tensor) for name, tensor in before.items())
    merged = load_model(tmp_path / "merged", DeviceSettings(device="cpu", dtype="float32"))
    assert torch.equal(merged.model(input_ids=IDS).logits, logits)
    assert merged.identity == delta.result


def test_a_delta_keeps_its_values_when_the_training_goes_on():
    loaded = loaded_of("llama")
    before = weights_hash(loaded.model)
    with trained_neurons(loaded.model, random_set(7, widths(loaded.model), 0)) as trained:
        delta = trained_delta(loaded, trained, {"set": "some"})
        for part in trained.parameters():
            part.data += 1
        trained.write_back()
    with with_delta(loaded_of("llama"), delta) as same:
        assert weights_hash(same.model) == before != weights_hash(loaded.model)


def test_a_result_is_known_without_reading_the_model(monkeypatch):
    """It is told by the base, the values and their places."""
    models = [loaded_of("llama") for _ in range(4)]
    models[2] = replace(models[2], provenance={**models[2].provenance, "identity": "of another model"})
    monkeypatch.setattr(torch.nn.Module, "state_dict", None)  # all weights of a large model are too many to hash
    one, same, elsewhere, other = (changed(model, seed) for model, seed in zip(models, (1, 1, 1, 2), strict=True))
    assert one.result == same.result
    assert len({one.result, elsewhere.result, other.result, one.base}) == 4


def test_deltas_stack_in_the_order_of_their_training():
    base, other = loaded_of("llama"), loaded_of("llama")
    first = changed(other, 1)
    after_first = weights_hash(other.model)
    second = changed(replace(other, provenance={"identity": first.result}), 2)
    before = weights_hash(base.model)
    with with_delta(base, first) as one:
        with with_delta(one, second) as two:
            assert weights_hash(base.model) == weights_hash(other.model)
            assert (two.identity, two.parent) == (second.result, first.result)
        assert weights_hash(base.model) == after_first
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


# Name of a set's deltas → its kind, its mask's set, and the number of its neurons.
SETS = {
    "own10": ("own", "one", 7),
    "random10-draw0": ("random", "random-0", 7),
    "crossed-two10": ("crossed", "two", 5),
    "other-family10": ("other-family", "two", 5),
}
RATES = {"own": 1e-2, "random": 1e-3, "other-family": 1e-3}  # other-family's is the common one
NAMES = [
    *("own10-tuned", "own10-common", "random10-draw0-tuned", "random10-draw0-common"),
    *("crossed-two10-tuned", "other-family10-tuned", "other-family10-common"),
]


@pytest.fixture
def base(monkeypatch) -> LoadedModel:
    base = loaded_of("llama")
    for module in (tune, evaluate):
        monkeypatch.setattr(module, "load_model", lambda path, settings: base)
    return base


def masks_of(base, folder, model=None):
    """The masks of SETS by keyword; those of task two are the same file."""
    sizes, masks = widths(base.model), {}
    for kind, name, number in SETS.values():
        made = {"set": name, "rule": "global", "k": 10.0, "model": model or base.identity}
        if kind == "random":
            made |= {"rule": "random", "draw": 0}
        path = folder / f"mask-{name}.parquet"
        write_mask(path, random_set(number, sizes, len(name)), [None] * len(sizes), None, made)
        masks[kind.replace("-", "_")] = [path]
    return masks


def tune_all(folder, masks, names, **changes):
    """Train masks on the task "one", to deltas of these names."""
    data = task_file(folder / "data.parquet", "one")
    deltas = [folder / f"{name}.safetensors" for name in names]
    given = {"training": TUNING, "common": 1e-3, "examples": 0, "curve": 2, "seed": 0, "compute": DeviceSettings()}
    settings = tune.TuningSettings(**given | changes)
    paths = {"metrics": folder / "training.parquet", "curves": folder / "curves.parquet", "deltas": deltas}
    rates = [rates_file(folder / f"rates-{kind}.parquet", kind, rate) for kind, rate in RATES.items()]
    tune.main(
        settings,
        base=Path("base"),
        data=data,
        validation=data,
        rates=rates,
        checkpoints=folder / "checkpoints",
        **paths,
        **masks,
    )
    return deltas


def test_from_masks_to_deltas_to_predictions(base, tmp_path, monkeypatch):
    """The two steps: deltas reach the state that their training had, and the base model stays what it was."""
    before = weights_hash(base.model)
    trained_to = []  # the weights at the end of each training
    made = watched.trained_delta
    monkeypatch.setattr(
        watched, "trained_delta", lambda *given: trained_to.append(weights_hash(given[0].model)) or made(*given)
    )
    deltas = dict(zip(NAMES, tune_all(tmp_path, masks_of(base, tmp_path), NAMES), strict=True))
    assert weights_hash(base.model) == before
    found = {name: read_delta(path) for name, path in deltas.items()}
    for kind, name, number in SETS.values():
        delta = next(one for one in found.values() if one.provenance["set_kind"] == kind)
        assert delta.neurons == random_set(number, widths(base.model), len(name)) and delta.base == before
        assert (delta.provenance["set"], delta.provenance["task"]) == (name, "one")
    reached = set()
    for delta in found.values():
        with with_delta(base, delta):
            reached.add(weights_hash(base.model))
    assert reached == set(trained_to) and before not in reached
    assert len(reached) == len({delta.result for delta in found.values()})
    said = {name: (one.provenance["rate"], one.provenance["learning_rate"]) for name, one in found.items()}
    assert said["own10-tuned"] == ("tuned", 1e-2) and said["random10-draw0-tuned"] == ("tuned", 1e-3)
    assert said["crossed-two10-tuned"] == ("tuned", 1e-2)  # the rate of `own`
    assert said["other-family10-tuned"] == ("tuned", 1e-3) and said["other-family10-common"] == ("common", 1e-3)
    assert found["own10-tuned"].result != found["own10-common"].result
    settings = evaluate.TunedSettings(
        evaluation=EvaluationSection(batch_size=2, cross_task_examples=3), named_by="set", compute=DeviceSettings()
    )
    predictions = tmp_path / "predictions.parquet"
    conditions = ["own-tuned", "own-common", "random-0-tuned", "random-0-common", "two-on-one"]
    conditions += ["other-family-tuned", "other-family-common"]
    for task, tested, expected in (("one", NAMES, [4, 4, 4, 4, 3, 4, 4]), ("three", NAMES[:1], [3])):
        data = task_file(tmp_path / "data.parquet", task)
        files = [deltas[name] for name in tested]
        evaluate.main(settings, base=Path("base"), data=data, deltas=files, predictions=predictions)
        frame, made = read_frame(predictions, "predictions")
        names = conditions if task == "one" else ["one"]
        assert frame.groupby("condition", sort=False).size().to_dict() == dict(zip(names, expected, strict=True))
        assert made["learning_rates"][names[0]] == 1e-2
    with pytest.raises(UserError, match="which another delta is of already"):
        evaluate.main(settings, base=Path("base"), data=data, deltas=files * 2, predictions=predictions)


def test_equal_trainings_are_made_and_tested_once(base, tmp_path, monkeypatch):
    """One rate is both tuned and common; a set that is crossed and another family's too, at one rate."""
    made, tested = [], []
    own, own_predict = tune.train_set, evaluate.predict
    monkeypatch.setattr(tune, "train_set", lambda *given: made.append(given[3]) or own(*given))
    monkeypatch.setattr(evaluate, "predict", lambda *given: tested.append(1) or own_predict(*given))
    deltas = tune_all(tmp_path, masks_of(base, tmp_path), NAMES, common=1e-2)
    # Own: once for both. Random and other family: tuned at 1e-3, common at 1e-2, where the latter is the crossed one.
    assert made == [f"{name} on one" for name in (NAMES[0], NAMES[2], NAMES[3], NAMES[4], NAMES[5])]
    results = {path.stem: read_delta(path).result for path in deltas}
    assert results["own10-tuned"] == results["own10-common"]
    assert results["crossed-two10-tuned"] == results["other-family10-common"]
    assert len(set(results.values())) == 5
    settings = evaluate.TunedSettings(evaluation=EvaluationSection(), named_by="set", compute=DeviceSettings())
    data, predictions = task_file(tmp_path / "data.parquet", "one"), tmp_path / "predictions.parquet"
    evaluate.main(settings, base=Path("base"), data=data, deltas=deltas, predictions=predictions)
    assert len(tested) == 6  # the crossed one on other examples
    frame = read_frame(predictions, "predictions")[0].set_index("condition")
    assert frame.loc["own-tuned", "score"].tolist() == frame.loc["own-common", "score"].tolist()


def test_curves_begin_with_the_untrained_model(base, tmp_path):
    """A row a point of each name of a training; without deltas where none are asked for."""
    tune_all(tmp_path, masks_of(base, tmp_path), [])
    assert not list(tmp_path.glob("*.safetensors"))
    curves, made = read_frame(tmp_path / "curves.parquet", "validation losses")
    assert (made["task"], made["seed"]) == ("one", 0)
    assert curves.groupby(["kind", "rate"]).size().to_dict() == {
        ("own", "tuned"): 3,
        ("own", "common"): 3,
        ("random", "tuned"): 3,
        ("random", "common"): 3,
        ("crossed", "tuned"): 3,
        ("other-family", "tuned"): 3,
        ("other-family", "common"): 3,
    }
    assert curves.loc[curves["step"] == 0, "validation_loss"].nunique() == 1
    own = curves[(curves["kind"] == "own") & (curves["rate"] == "tuned")]
    assert own["step"].tolist() == [0, 2, 4] and own["trained_pct"].tolist() == [0, 50, 100]
    assert own["validation_loss"].is_monotonic_decreasing
    assert (own["peak"].iloc[0], own["neurons"].iloc[0], own["k"].iloc[0]) == (1e-2, 7, 10)
    history = read_frame(tmp_path / "training.parquet", "training")[0]
    assert history.groupby(["kind", "rate"]).size().eq(4).all()


def test_so_many_examples_are_seen_and_no_more(base, tmp_path):
    tune_all(tmp_path, masks_of(base, tmp_path), [], examples=2)
    history = read_frame(tmp_path / "training.parquet", "training")[0]
    assert history.groupby(["kind", "rate"]).size().eq(2).all()  # 2 epochs of one batch of 2


def test_deltas_are_matched_by_name_in_any_order(base, tmp_path):
    masks = masks_of(base, tmp_path)
    (tmp_path / "other").mkdir()
    tune_all(tmp_path, masks, NAMES)
    tune_all(tmp_path / "other", dict(reversed(masks.items())), NAMES[::-1])
    for name in NAMES:
        one, other = (read_delta(folder / f"{name}.safetensors") for folder in (tmp_path, tmp_path / "other"))
        assert one.neurons == other.neurons
        assert one.result == other.result


def test_masks_and_deltas_that_do_not_match_are_told(base, tmp_path):
    masks = masks_of(base, tmp_path)

    def told(masks, names, match):
        with pytest.raises(UserError, match=match):
            tune_all(tmp_path, masks, names)
        assert not list(tmp_path.glob("*.safetensors")) and not (tmp_path / "training.parquet").exists()

    told(masks, NAMES[1:], "the delta 'own10-tuned' is made of a mask, but not asked for")
    told({"own": masks["own"]}, NAMES[:3], "the delta 'random10-draw0-tuned' is made of no mask")
    told({"own": masks["own"] + masks["other_family"]}, NAMES[:1], "two masks make the delta 'own10-tuned'")
    told({"contrastive": masks["own"]}, [], "no learning rate was chosen for sets of the kind 'contrastive'")
    told(masks_of(base, tmp_path, "another"), NAMES, "selected on model another, but this model is")
