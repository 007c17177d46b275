"""The training loop: it learns, splits batches without changing the step, and goes on after a kill to the same bits."""

import random

import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from conftest import TRAINING, KilledError, killed_at, tiny_model
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.models.loaded import Compute, weights_hash
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import random_set
from taskneurons.training import loop
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import Trained, WholeModel, learning_rate_factor, mean_loss, train, training_batches
from taskneurons.tuning.trained_neurons import trained_neurons

COMPUTE = Compute(torch.device("cpu"), torch.float32)
PAIRS = [([1, 2, 3], [4, 0]), ([5, 6], [7, 0]), ([8], [9, 0]), ([], [3, 2, 1]), ([9, 9, 9, 9], [5, 5, 5, 0])]
SETTINGS = TRAINING.model_copy(update={"epochs": 3, "validation": 0})


def trained(model: PreTrainedModel, changes: dict | None = None, only_neurons: bool = False, **options) -> pd.DataFrame:
    rest = (PAIRS, SETTINGS.model_copy(update=changes or {}), COMPUTE, 1, "test")
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
    linear, constant = (
        [learning_rate_factor(step, 100, SETTINGS.model_copy(update={"schedule": schedule})) for step in range(100)]
        for schedule in ("linear", "constant")
    )
    assert linear[0] == pytest.approx(0.1)
    assert max(linear) == 1
    assert linear[9] == 1
    assert linear[-1] == pytest.approx(1 / 90)
    assert linear[10:] == sorted(linear[10:], reverse=True)
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
    again = mean_loss(model, validation, SETTINGS, COMPUTE)
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

    monkeypatch.setattr(loop, "sample_losses", full)
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


# ---- hooks ----


class Whole(Trained):
    """A training of the whole model, for methods to derive from."""

    def __init__(self, model):
        self.model = model

    def parameters(self):
        return list(self.model.parameters())


class Hooked(Whole):
    """Remembers which hook was called when."""

    def __init__(self, model):
        super().__init__(model)
        self.calls = []

    def examples(self, pairs):
        self.calls.append("examples")
        return super().examples(pairs)

    def penalty(self, batch):
        self.calls.append("penalty")

    def project(self, gradients):
        self.calls.append("project")

    def write_back(self):
        self.calls.append("write_back")

    def end_stage(self):
        self.calls.append("end_stage")


def run(trained, pairs=PAIRS, checkpoint=None, **changes):
    """A training with hooks, of `trained.model`."""
    settings = SETTINGS.model_copy(update=changes)
    return train(trained.model, trained, pairs, settings, COMPUTE, 1, "test", checkpoint=checkpoint)


def by_hand(model, gradients_of, rates, max_norm=1.0, weight_decay=0.1, pairs=PAIRS):
    """AdamW over the loop's own batches, with gradients from `gradients_of(batch)`; no hook is asked."""
    torch.manual_seed(1)
    rng = random.Random(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=weight_decay, fused=True)
    batches = [batch for _ in range(3) for batch in training_batches(pairs, 2, rng)]
    for batch, rate in zip(batches, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        for parameter, gradient in zip(model.parameters(), gradients_of(batch), strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()


def loss_gradients(model, batch):
    losses = sample_losses(model, collate(batch, COMPUTE.device))
    return torch.autograd.grad(losses.mean(), list(model.parameters()))


def difference(model, other):
    """The largest difference of two models' parameters."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return max((one - two).abs().max().item() for one, two in pairs)


def test_hooks_are_called_in_their_order():
    trained = Hooked(tiny_model("llama"))
    history = run(trained)
    assert len(history) == 9
    assert trained.calls == ["examples", *["penalty", "project", "write_back"] * 9, "write_back", "end_stage"]


def test_hooks_that_do_nothing_change_no_bit():
    plain, hooked = tiny_model("llama"), tiny_model("llama")
    pd.testing.assert_frame_equal(run(WholeModel(plain)), run(Hooked(hooked)))
    assert weights_hash(plain) == weights_hash(hooked)


def test_a_penalty_adds_its_gradient_to_the_losses():
    """λ·Σw²/2 beside the loss is λ·w beside its gradient; the history's loss is without it, the norm with it."""
    strength = 0.5
    seen = []

    class Ridge(Whole):
        def penalty(self, batch):
            seen.append(len(batch))
            return strength * sum(parameter.square().sum() for parameter in self.parameters()) / 2

    plain, penalised, expected = (tiny_model("llama") for _ in range(3))
    without, history = run(WholeModel(plain)), run(Ridge(penalised))

    def gradients(batch):
        found = loss_gradients(expected, batch)
        return [one + strength * weight.detach() for one, weight in zip(found, expected.parameters(), strict=True)]

    by_hand(expected, gradients, history["learning_rate"])
    assert seen.count(2) == 6 and seen.count(1) == 3  # every batch, as it is
    assert difference(penalised, expected) < 1e-6 < 1e-3 < difference(penalised, plain)
    assert history["loss"].iloc[0] == without["loss"].iloc[0]
    assert history["gradient_norm"].iloc[0] > without["gradient_norm"].iloc[0] + 0.1


def test_a_penalty_is_added_once_to_a_batch_that_is_split():
    class Ridge(Whole):
        def penalty(self, batch):
            return 0.5 * sum(parameter.square().sum() for parameter in self.parameters()) / 2

    whole, split = tiny_model("llama"), tiny_model("llama")
    pd.testing.assert_frame_equal(run(Ridge(whole)), run(Ridge(split), batch_tokens=7), rtol=1e-4)
    assert difference(whole, split) < 1e-5


def test_a_replay_trains_on_more_examples():
    """The given examples and some of before: the same bits as all of them given, and their number of steps."""
    before = [([7, 7], [6, 0]), ([4, 3, 2], [1, 0])]

    class Replay(Whole):
        def examples(self, pairs):
            return [*pairs, *before]

    replayed, expected = tiny_model("llama"), tiny_model("llama")
    history = run(Replay(replayed))
    assert len(history) == 3 * 4
    pd.testing.assert_frame_equal(history, run(WholeModel(expected), [*PAIRS, *before]))
    assert weights_hash(replayed) == weights_hash(expected)


def test_a_projection_to_zero_leaves_its_parameters_alone():
    """Before clipping: what is left of the gradient has the norm, and is clipped by it, as in a training by hand."""

    class Frozen(Whole):
        def project(self, gradients):
            for gradient in list(gradients)[::2]:
                gradient.zero_()

    model, expected = tiny_model("llama"), tiny_model("llama")
    before = [parameter.detach().clone() for parameter in model.parameters()]
    history = run(Frozen(model), weight_decay=0.0, max_gradient_norm=0.1)
    moved = [bool((now != then).any()) for now, then in zip(model.parameters(), before, strict=True)]
    assert moved == [number % 2 == 1 for number in range(len(moved))]
    norms = []

    def gradients(batch):
        found = loss_gradients(expected, batch)
        found = [one * (number % 2) for number, one in enumerate(found)]
        norms.append(torch.stack([one.norm() for one in found]).norm().item())
        return found

    by_hand(expected, gradients, history["learning_rate"], max_norm=0.1, weight_decay=0.0)
    assert difference(model, expected) < 1e-6
    assert history["gradient_norm"].tolist() == pytest.approx(norms, rel=1e-3)


@pytest.mark.parametrize("patience", [0, 1])
def test_the_end_of_a_stage_sees_the_trained_values(patience):
    """Once, after the last step or the return to the best epoch: the model holds what the training gives."""
    ends, model = [], tiny_model("llama")
    validation = [([1, 2, 3], [7, 7, 7])]
    settings = SETTINGS.model_copy(
        update={"patience": patience, "epochs": 20 if patience else 3, "schedule": "constant", "learning_rate": 3e-2}
    )
    neurons = random_set(20, widths(model), seed=0)
    with trained_neurons(model, neurons) as trained:
        trained.end_stage = lambda: ends.append(weights_hash(model))
        history = train(model, trained, PAIRS, settings, COMPUTE, 1, "test", validation)
    assert ends == [weights_hash(model)]
    losses = history["validation_loss"].dropna()
    assert (losses.iloc[-1] > losses.min()) == bool(patience)
    assert mean_loss(model, validation, SETTINGS, COMPUTE) == pytest.approx(
        losses.min() if patience else losses.iloc[-1]
    )


class Averaged(Whole):
    """Pulls the parameters to a running mean of them, which is a state beside the parameters."""

    def __init__(self, model):
        super().__init__(model)
        self.means = [torch.zeros_like(parameter) for parameter in model.parameters()]

    def penalty(self, batch):
        for mean, parameter in zip(self.means, self.parameters(), strict=True):
            mean.mul_(0.5).add_(parameter.detach(), alpha=0.5)
        return sum((p - mean).square().sum() for p, mean in zip(self.parameters(), self.means, strict=True))

    def state(self):
        return {str(number): mean for number, mean in enumerate(self.means)}

    def load_state(self, state):
        for number, mean in enumerate(self.means):
            mean.copy_(state[str(number)])


class Forgetful(Averaged):
    def load_state(self, state):
        assert set(state) == {str(number) for number in range(len(self.means))}


@pytest.mark.parametrize("method", [Averaged, Forgetful])
def test_a_hooks_state_survives_a_kill(tmp_path, monkeypatch, method):
    """With its state the training goes on to the same bits; a method that does not take it up ends elsewhere."""
    path = tmp_path / "state.safetensors"
    expected, broken, resumed = (tiny_model("llama") for _ in range(3))
    run(method(expected))
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(5, patch)
        run(method(broken), checkpoint=Checkpoint(path, "key", seconds=0))
    history = run(method(resumed), checkpoint=Checkpoint(path, "key"))
    assert len(history) == 9
    assert (weights_hash(resumed) == weights_hash(expected)) == (method is Averaged)


@pytest.mark.parametrize("mode", [True, False])
def test_the_mean_loss_gives_back_the_mode(mode):
    """It is measured without dropout (gpt2 has some), whatever the mode; and the mode is as before."""
    model = tiny_model("gpt2").train(mode)
    found = [mean_loss(model, PAIRS, SETTINGS, COMPUTE) for _ in range(2)]
    assert {module.training for module in model.modules()} == {mode}
    losses = sample_losses(tiny_model("gpt2"), collate(PAIRS, COMPUTE.device))
    assert found == pytest.approx([losses.mean().item()] * 2, rel=1e-5)
