"""Deactivation equals setting the neurons' outputs to zero; the steps that switch sets off, one at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import loaded_of, readers, task_file
from taskneurons.config.settings import DamageExamples, DeviceSettings, Evaluation, EvaluationSection
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.data.task import read_task
from taskneurons.deactivation import damage, evaluate
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.evaluation.prediction import predict
from taskneurons.models.loaded import LoadedModel, weights_hash
from taskneurons.neurons.blocks import know_identities, widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mask_file import write_mask
from taskneurons.neurons.mean_outputs import KIND, read_means
from taskneurons.neurons.neuron_set import NeuronSet, random_set


def zeroing(off):
    return lambda module, inputs: (inputs[0].masked_fill(off, 0), *inputs[1:])


def test_equals_outputs_set_to_zero(model):
    """Against hooks that set what the readers get to zero."""
    neurons = random_set(20, tuple(widths(model)), seed=3)
    ids = torch.randint(300, (2, 7))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with deactivated(model, neurons):
            inside = model(input_ids=ids).logits
        handles = [
            reader.register_forward_pre_hook(zeroing(torch.from_numpy(flags)))
            for reader, flags in zip(readers(model), neurons.by_layer(), strict=True)
        ]
        expected = model(input_ids=ids).logits
        for handle in handles:
            handle.remove()
    assert torch.allclose(inside, expected, atol=1e-6)
    assert not torch.allclose(before, inside, atol=1e-6)


def test_the_models_bits_are_back_also_after_an_exception(model):
    before = weights_hash(model)
    neurons = random_set(20, tuple(widths(model)), seed=3)
    with pytest.raises(RuntimeError, match="stop"), deactivated(model, neurons):
        assert weights_hash(model) != before
        assert not any(module._forward_pre_hooks or "forward" in module.__dict__ for module in model.modules())
        raise RuntimeError("stop")
    assert weights_hash(model) == before


def test_nothing_selected_changes_nothing(model):
    ids = torch.randint(300, (1, 5))
    empty = NeuronSet(np.zeros(sum(widths(model)), bool), tuple(widths(model)))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with deactivated(model, empty):
            assert torch.equal(model(input_ids=ids).logits, before)


def test_another_models_neurons_are_refused(model):
    with pytest.raises(ValueError, match="the model has"), deactivated(model, NeuronSet(np.ones(4, bool), (2, 2))):
        pass


# ---- the steps ----

WORDS = ("rule", "k", "masked_task", "draw")


@pytest.fixture
def at_hand(monkeypatch) -> LoadedModel:
    """A model that the steps load."""
    loaded = loaded_of("llama")
    for module in (damage, evaluate):
        monkeypatch.setattr(module, "load_model", lambda path, settings: loaded)
    return loaded


def mask_of(loaded, path, number, seed=0, **made):
    """A mask of so many random neurons, and those neurons."""
    sizes = widths(loaded.model)
    neurons = random_set(number, sizes, seed)
    made = {"set": "one", "rule": "global", "k": 10, "model": loaded.identity, **made}
    write_mask(path, neurons, [None] * len(sizes), None, made)
    return path, neurons


def damage_of(tmp_path, masks, means=(), ablations=("zero",), **examples):
    settings = damage.DamageSettings(
        ablations=list(ablations),
        lossless={},
        damage=DamageExamples(**{"examples": 3, "scored": {"global": [10]}, "scored_examples": 2, **examples}),
        evaluation=Evaluation(batch_size=2),
        batch_tokens=1000,
        compute=DeviceSettings(),
    )
    data, out = task_file(tmp_path / "data.parquet", "one"), tmp_path / "damage.parquet"
    damage.main(settings, model=Path("model"), data=data, masks=masks, means=list(means), damage=out)
    return read_frame(out, "damage")[0]


def test_damage_against_losses_one_by_one(at_hand, tmp_path):
    """A mask of the scored rule and k, one of another k, and a random one, on three examples of four."""
    made = [
        mask_of(at_hand, tmp_path / "a.parquet", 20, 1),
        mask_of(at_hand, tmp_path / "b.parquet", 9, 2, k=3),
        mask_of(at_hand, tmp_path / "c.parquet", 20, 3, set="random-1", rule="random", draw=1),
    ]
    frame = damage_of(tmp_path, [path for path, _ in made])
    keys = [("none", 0, "none", 0), ("global", 10, "one", 0), ("global", 3, "one", 0), ("random", 10, "random-1", 1)]
    examples = read_task(tmp_path / "data.parquet").encoded(at_hand.tokenizer)[:3]
    for key, neurons in zip(keys, [None, *(neurons for _, neurons in made)], strict=True):
        rows = frame[(frame[list(WORDS)] == key).all(axis=1)]
        assert set(rows["n_neurons"]) == {0 if neurons is None else len(neurons)}
        with torch.no_grad(), deactivated(at_hand.model, neurons):
            losses = [sample_losses(at_hand.model, collate([one.pair], torch.device("cpu"))).item() for one in examples]
        assert rows.loc[rows["measure"] == "loss", "value"].tolist() == pytest.approx(losses, rel=1e-4)
        scored = rows.loc[rows["measure"] == "score", "value"]
        assert len(scored) == (2 if key[:2] in {("none", 0), ("global", 10)} else 0)
        assert set(scored) <= {0.0, 1.0}
    assert frame.loc[frame["measure"] == "loss", "value"].nunique() == 12
    assert set(damage_of(tmp_path, [made[0][0]], scored={})["measure"]) == {"loss"}


def means_file_of(loaded, path):
    """Mean outputs of so many neurons, as a file, and as they are."""
    sizes = widths(loaded.model)
    frame = neuron_index(sizes).assign(mean=np.random.default_rng(0).normal(size=sum(sizes)), n_tokens=1)
    write_frame(path, frame, KIND, {"widths": sizes, "model": loaded.identity})
    return [path], read_means([path])


def test_damage_under_both_ablations(at_hand, tmp_path):
    """A set is tried under each; one that was matched under one ablation, under that alone."""
    paths, means = means_file_of(at_hand, tmp_path / "means.parquet")
    path, neurons = mask_of(at_hand, tmp_path / "a.parquet", 20, 1, reference="mean")
    matched = {"matching": "own damage", "ablation": "mean", "k": 2.5}
    other, _ = mask_of(at_hand, tmp_path / "b.parquet", 8, 2, **matched)
    frame = damage_of(tmp_path, [path, other], paths, ("zero", "mean"), scored={})
    found = frame[["rule", "k", "reference", "matching", "ablation"]].drop_duplicates().values.tolist()
    assert found == [
        ["none", 0.0, "none", "none", "none"],
        ["global", 10.0, "mean", "k", "zero"],
        ["global", 10.0, "mean", "k", "mean"],
        ["global", 2.5, "none", "own damage", "mean"],
    ]
    examples = read_task(tmp_path / "data.parquet").encoded(at_hand.tokenizer)[:3]
    for ablation, replaced_by in {"zero": None, "mean": means}.items():
        with torch.no_grad(), deactivated(at_hand.model, neurons, replaced_by):
            losses = [sample_losses(at_hand.model, collate([one.pair], torch.device("cpu"))).item() for one in examples]
        rows = frame[(frame["k"] == 10) & (frame["ablation"] == ablation)]
        assert rows["value"].tolist() == pytest.approx(losses, rel=1e-4)


def test_a_loss_that_is_not_finite_stops_the_step(at_hand, tmp_path):
    with torch.no_grad():
        at_hand.model.lm_head.weight.fill_(float("inf"))
    with pytest.raises(UserError, match="one: the model's logits are NaN or infinite"):
        damage_of(tmp_path, [], scored={})


def test_masks_that_do_not_fit_are_told(at_hand, tmp_path):
    own, _ = mask_of(at_hand, tmp_path / "own.parquet", 5)
    other, _ = mask_of(at_hand, tmp_path / "other.parquet", 5, 1, model="another")
    with pytest.raises(UserError, match=r"the neurons were selected on model another, but this model is .*: score and"):
        damage_of(tmp_path, [own, other])
    assert not (tmp_path / "damage.parquet").exists()
    with pytest.raises(UserError, match=r"selected on model another"):
        predictions_of(tmp_path, [other])
    with pytest.raises(UserError, match=r"own\.parquet holds the set 'one', which another mask holds already"):
        predictions_of(tmp_path, [own, own])


def test_a_mask_of_the_model_that_this_one_was_trained_from_fits(at_hand, tmp_path):
    path, _ = mask_of(at_hand, tmp_path / "base.parquet", 5, model="the base")
    with pytest.raises(UserError, match="selected on model the base"):
        damage_of(tmp_path, [path])
    know_identities(at_hand.model, at_hand.identity, "the base")
    assert set(damage_of(tmp_path, [path])["rule"]) == {"none", "global"}


def predictions_of(tmp_path, masks, means=()):
    settings = evaluate.DeactivationSettings(
        evaluation=EvaluationSection(batch_size=2, cross_task_examples=3),
        tasks=["one", "two"],
        compute=DeviceSettings(),
    )
    data, out = task_file(tmp_path / "data.parquet", "one"), tmp_path / "predictions.parquet"
    evaluate.main(settings, model=Path("model"), data=data, masks=masks, means=list(means), predictions=out)
    return read_frame(out, "predictions")[0]


def test_predictions_under_each_set(at_hand, tmp_path):
    """All four examples as it is, with the task's own set and with random ones off; three with another task's."""
    masks = [
        mask_of(at_hand, tmp_path / f"{name}.parquet", 40, seed, set=name)
        for seed, name in enumerate(("one", "two", "random-0"))
    ]
    frame = predictions_of(tmp_path, [path for path, _ in masks])
    assert frame.groupby("condition", sort=False).size().to_dict() == {"none": 4, "one": 4, "two": 3, "random-0": 4}
    task = read_task(tmp_path / "data.parquet")
    for name, neurons in {"none": None, "one": masks[0][1]}.items():
        with deactivated(at_hand.model, neurons):
            found, scores = predict(at_hand, task, task.encoded(at_hand.tokenizer), Evaluation(batch_size=1))
        rows = frame[frame["condition"] == name]
        assert (rows["prediction"].tolist(), rows["score"].tolist()) == (found, scores)
