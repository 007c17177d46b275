"""The training loop: it learns, splits batches without changing the step, and goes on after a kill to the same bits."""

import random

import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from conftest import KilledError, killed_at, tiny_model
from taskneurons import training
from taskneurons.core.errors import UserError
from taskneurons.models.loaded import Compute, weights_hash
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import random_set
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import WholeModel, learning_rate_factor, train, training_batches
from taskneurons.tuning.trained_neurons import trained_neurons

COMPUTE = Compute(torch.device("cpu"), torch.float32)
PAIRS = [([1, 2, 3], [4, 0]), ([5, 6], [7, 0]), ([8], [9, 0]), ([], [3, 2, 1]), ([9, 9, 9, 9], [5, 5, 5, 0])]
SETTINGS = {
    **{"epochs": 3, "batch_size": 2, "batch_tokens": 1000, "learning_rate": 1e-2, "warmup": 0.1},
    **{"schedule": "linear", "weight_decay": 0.1, "max_gradient_norm": 1.0},
    **{"gradient_checkpointing": False, "patience": 0},
}


def trained(model: PreTrainedModel, changes: dict | None = None, only_neurons: bool = False, **options) -> pd.DataFrame:
    rest = (PAIRS, {**SETTINGS, **(changes or {})}, COMPUTE, 1, "test")
    if not only_neurons:
        return train(model, WholeModel(model), *rest, **options)
    with trained_neurons(model, random_set(20, widths(model), seed=0)) as neurons:
        return train(model, neurons, *rest, **options)


def test_training_learns_and_is_reproducible():
    models = [tiny_model("llama") for _ in range(2)]
    histories = [trained(model, {"epochs": 30}) for model in models]
    pd.testing.assert_frame_equal(*histories)
    assert weights_hash(models[0]) == weights_hash(models[1])
    assert histories[0]["loss"].iloc[-1] < 0.3 * histories[0]["loss"].iloc[0]
    assert list(histories[0]["epoch"].unique()) == list(range(30))


def test_an_epoch_holds_every_pair_once():
    pairs = [([n], [n]) for n in range(103)]
    seen = [pair for batch in training_batches(pairs, 4, random.Random(0)) for pair in batch]
    assert sorted(seen) == pairs


def test_the_learning_rate_rises_and_falls():
    linear = [learning_rate_factor(step, 100, {"warmup": 0.1, "schedule": "linear"}) for step in range(100)]
    assert linear[0] == pytest.approx(0.1)
    assert max(linear) == 1
    assert linear[9] == 1
    assert linear[-1] == pytest.approx(1 / 90)
    assert linear[10:] == sorted(linear[10:], reverse=True)
    constant = [learning_rate_factor(step, 100, {"warmup": 0.1, "schedule": "constant"}) for step in range(100)]
    assert constant[:10] == linear[:10] and set(constant[10:]) == {1.0}


@pytest.mark.parametrize("only_neurons", [False, True])
@pytest.mark.parametrize("changes", [{"batch_tokens": 7}, {"gradient_checkpointing": True}])
def test_ways_to_save_memory_change_no_step(changes, only_neurons):
    whole, saving = tiny_model("llama"), tiny_model("llama")
    one, other = (trained(*way, only_neurons=only_neurons) for way in ((whole,), (saving, changes)))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in saving.modules())
    pd.testing.assert_frame_equal(one, other, rtol=1e-4)
    for first, second in zip(whole.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])  # gpt2 has dropout: the random state matters
@pytest.mark.parametrize("only_neurons", [False, True])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, monkeypatch, family, only_neurons):
    path, validation = tmp_path / "state.safetensors", PAIRS[:2]

    def run(model, checkpoint):
        return trained(model, {"patience": 2}, only_neurons, validation=validation, checkpoint=checkpoint)

    expected, broken, resumed = (tiny_model(family) for _ in range(3))
    history = run(expected, None)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(5, patch)
        run(broken, Checkpoint(path, "key", seconds=0))
    assert path.is_file()
    pd.testing.assert_frame_equal(run(resumed, Checkpoint(path, "key")), history)
    assert weights_hash(resumed) == weights_hash(expected)


@pytest.mark.parametrize("spoil", ["another key", "no safetensors"])
def test_a_state_that_does_not_fit_is_left_alone(tmp_path, monkeypatch, spoil):
    path = tmp_path / "state.safetensors"
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(3, patch)
        trained(tiny_model("llama"), checkpoint=Checkpoint(path, "key", seconds=0))
    if spoil == "no safetensors":
        path.write_bytes(path.read_bytes()[:100])
    models = [tiny_model("llama") for _ in range(2)]
    trained(models[0])
    trained(models[1], checkpoint=Checkpoint(path, "other" if spoil == "another key" else "key"))
    assert weights_hash(models[0]) == weights_hash(models[1])


def test_early_stop_goes_back_to_the_best_epoch():
    """At this rate the loss on other pairs soon rises; the weights are those of the epoch where it was least."""
    validation = [([1, 2, 3], [7, 7, 7]), ([5, 6], [4, 4])]
    model = tiny_model("llama")
    changes = {"epochs": 20, "schedule": "constant", "learning_rate": 3e-2}
    history = trained(model, {**changes, "patience": 2}, validation=validation)
    losses = history["validation_loss"].dropna()
    best = int(losses.reset_index(drop=True).idxmin())
    assert len(losses) == best + 3 < 20
    again = training.mean_loss(model, validation, SETTINGS, COMPUTE)
    assert again == pytest.approx(losses.min())


def test_what_cannot_be_trained_is_told():
    model = tiny_model("llama")
    with pytest.raises(UserError, match="no training examples"):
        train(model, WholeModel(model), [], SETTINGS, COMPUTE, 1, "test")
    with pytest.raises(UserError, match="patience 2 needs validation"):
        trained(model, {"patience": 2})
    with pytest.raises(UserError, match=r"set compute\.dtype to bfloat16"):
        train(model, WholeModel(model), PAIRS, SETTINGS, Compute(torch.device("cpu"), torch.float16), 1, "test")
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"step 0: the loss is nan and its gradient's norm nan: lower learning_rate"):
        trained(model)


def test_an_infinite_gradient_is_told_before_it_spoils_the_weights():
    """Clipping by an infinite norm would make the gradient no number, and the loss of the last step looks well."""
    model = tiny_model("llama")
    before = weights_hash(model)
    model.lm_head.weight.register_hook(lambda gradient: torch.full_like(gradient, torch.inf))
    with pytest.raises(UserError, match=r"the loss is \d.* and its gradient's norm inf: lower learning_rate"):
        trained(model)
    assert weights_hash(model) == before


def test_too_small_a_device_is_told(monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training, "sample_losses", full)
    with pytest.raises(UserError, match=r"step 0: .*memory is too small .*training_batch_tokens, set .*checkpointing"):
        trained(tiny_model("llama"))


def test_a_checkpoint_is_removed_with_what_a_kill_left_beside_it(tmp_path):
    path = tmp_path / "state.safetensors"
    trained(tiny_model("llama"), checkpoint=Checkpoint(path, "key", seconds=0))
    (tmp_path / ".state.safetensors.x1y2").mkdir()
    (tmp_path / ".state.safetensors.x1y2" / "state.safetensors").write_text("half")
    (tmp_path / "state.parquet").write_text("another file")
    assert path.is_file()
    Checkpoint(path, "key").remove()
    assert [file.name for file in tmp_path.iterdir()] == ["state.parquet"]
