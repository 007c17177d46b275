"""Groups of tasks trained together: as the FFN alone would be at 100 %, routed by task, killed and resumed."""

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from conftest import TUNING, KilledError, killed_at, loaded_of
from taskneurons.config.settings import DeviceSettings, Evaluation, LoopSettings, Passes, RateSearch
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.data.task import read_task
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.evaluation.prediction import predict
from taskneurons.generalisation import group_tuning, overlap_ablation, proportion_sweep, sweep_rates
from taskneurons.generalisation.routed import RoutedNeurons
from taskneurons.models.loaded import Compute
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.matrices import matrices
from taskneurons.neurons.neuron_set import NeuronSet, random_set, top_share, union_of
from taskneurons.training.loop import Trained, train
from taskneurons.tuning.trained_neurons import entries_put_back, trained_neurons

CPU = Compute(torch.device("cpu"), torch.float32)
TEXTS = {
    "one": (["the cat", "a dog saw the cat .", "yes", "maybe good"], ["yes", "no", "maybe", "good"]),
    "two": (["the cat", "review : great", "no maybe", "a dog"], ["yes", "good", "bad", "no"]),
    "three": (["saw the", "mat .", "sat on the mat .", "great"], ["good", "bad", "yes", "no"]),
}


def split_file(path: Path, task: str, metric: str = "accuracy") -> Path:
    prompts, targets = TEXTS[task]
    frame = pd.DataFrame({"prompt": prompts, "target": targets, "references": [[one] for one in targets]})
    made = {"task": task, "labels": ["yes", "no", "maybe", "good", "bad"], "metric": metric, "closing_words": ""}
    made |= {"split": "test", "tokens": {"prompt": 50, "target": 3}, "data_hash": task, "lost": {}}
    write_frame(path, frame, "task data", made)
    return path


def scores_file(path: Path, task: str, model) -> Path:
    layers = widths(model)
    values = np.random.default_rng(list(task.encode())).random(sum(layers))
    frame = neuron_index(layers, [None] * len(layers)).assign(score=values, n_samples=4)
    write_frame(path, frame, "scores", {"task": task, "widths": list(layers), "experts": [None] * len(layers)})
    return path


def sweep_rates_file(path: Path, percents: list[float], rate: float = 1e-2) -> Path:
    """The rate of a kind of set, or of each proportion, with another one that was not chosen."""
    rows = [
        {"proportion": float(percent), "learning_rate": tried, "chosen": tried == rate, "at_edge": percent == 20}
        for percent in percents
        for tried in (rate / 10, rate)
    ]
    kind = proportion_sweep.RATES if percents else "learning rates"
    write_frame(path, pd.DataFrame(rows), kind, {"set_kind": "own", "learning_rate": rate})
    return path


GROUP = {
    "train": ["one", "two"],
    "test": ["one", "three"],
    "scope": "global",
    "training": TUNING,  # 2 epochs of batches of 2: 8 steps for two tasks of 4 examples
    "train_examples": 0,
    "examples": 3,
    "scored_examples": 2,
    "evaluation": Evaluation(batch_size=2),
    "batch_tokens": 100,
    "seed": 0,
    "compute": DeviceSettings(),
}
SWEEP = proportion_sweep.SweepSettings(**GROUP, group="G", percents=[100, 20], reading="union")
ABLATION = overlap_ablation.AblationSettings(
    **{**GROUP, "test": ["three"]}, pair="G-H", others=[], trained=20, shares=[25, 50], draws=2, draw_seed=0
)


@pytest.fixture
def base(monkeypatch):
    base = loaded_of("llama")
    monkeypatch.setattr(group_tuning, "load_model", lambda path, settings: base)
    return base


def files_in(folder: Path, base, settings) -> dict:
    folder.mkdir(exist_ok=True)
    of_task = {task: split_file(folder / f"{task}.parquet", task) for task in TEXTS}
    return {
        "base": Path("base"),
        "data": [of_task[task] for task in reversed(settings.train)],  # in whatever order
        "validation": [of_task[task] for task in settings.train],
        "tests": [of_task[task] for task in settings.test],
        "scores": [scores_file(folder / f"{task}.scores.parquet", task, base.model) for task in TEXTS],
        "rates": sweep_rates_file(folder / "rates.parquet", getattr(settings, "percents", [])),
        "checkpoints": folder / "checkpoints",
        "measures": folder / "measures.parquet",
    }


def run(step, settings, folder, base) -> pd.DataFrame:
    files = files_in(folder, base, settings)
    step.main(settings, **files)
    assert not files["checkpoints"].exists()
    return read_frame(files["measures"], group_tuning.KIND)[0]


# ---- 100 % is the FFN without its output bias ----


class FFN(Trained):
    """All that belongs to neurons: the writers' weights and biases and the readers' weights, as plain parameters."""

    def __init__(self, model):
        model.requires_grad_(False)
        names = [name for layer in matrices(model) for one in layer for name in one.neuron_parameters()]
        self.found = {name: model.get_parameter(name) for name in names}
        for parameter in self.found.values():
            parameter.requires_grad_(True)

    def parameters(self):
        return list(self.found.values())


# A norm is a sum, whose last bit depends on its order: gradients are not clipped here.
UNCLIPPED = TUNING.model_copy(update={"max_gradient_norm": 1e9})


@pytest.mark.parametrize(
    ("family", "reading"),
    [("llama", "union"), ("gpt2", "union"), ("bloom", "union"), ("phi3", "union"), ("llama", "own"), ("bloom", "own")],
)
def test_the_sweep_at_100_percent_is_training_the_ffn_without_its_output_bias(family, reading, tmp_path, monkeypatch):
    base = loaded_of(family)
    with torch.no_grad():
        for name, parameter in base.model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(generator=torch.manual_seed(1))
    start, dense, found = copy.deepcopy(base.model.state_dict()), copy.deepcopy(base.model), []
    monkeypatch.setattr(group_tuning, "load_model", lambda path, settings: base)
    monkeypatch.setattr(
        group_tuning.Group,
        "measures",
        lambda self: found.append(copy.deepcopy(self.base.model.state_dict())) or pd.DataFrame({"task": ["none"]}),
    )
    settings = SWEEP.model_copy(update={"training": UNCLIPPED, "percents": [100.0], "reading": reading})
    run(proportion_sweep, settings, tmp_path, base)
    assert all(torch.equal(base.model.state_dict()[name], start[name]) for name in start)  # as before afterwards

    pairs = [
        example.pair
        for task in ("one", "two")
        for example in read_task(tmp_path / f"{task}.parquet").encoded(base.tokenizer)
    ]
    ffn = FFN(dense)
    train(dense, ffn, pairs, UNCLIPPED.at(1e-2), base.compute, 0, "the FFN")
    assert len(found) == 2  # the base model, and the trained one
    moved = {name for name in start if not torch.equal(start[name], found[1][name])}
    assert moved == set(ffn.found)
    if family in ("gpt2", "bloom"):
        assert any("bias" in name for name in moved)
    for name, tensor in dense.state_dict().items():
        if reading == "union":
            assert torch.equal(tensor, found[1][name]), name
        else:  # the tasks' gradients are summed in another order
            torch.testing.assert_close(tensor, found[1][name], rtol=0, atol=2e-4)


# ---- the reading "own" ----

OWN_PAIRS = {
    "one": [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([4, 5], [6, 7, 8])],
    "two": [([11, 12], [13]), ([14, 15, 16, 17], [20, 21, 22])],  # the first is equal to one of the other task's
}


def entries(model, neurons: NeuronSet) -> dict[str, torch.Tensor]:
    """FFN parameter → 1 at the selected neurons' entries."""
    flags, found = torch.from_numpy(neurons.selected).split(list(neurons.widths)), {}
    for layer, chosen in zip(matrices(model), flags, strict=True):
        for matrix in layer:
            for name, (parameter, axis) in matrix.neuron_parameters().items():
                along = chosen.repeat(parameter.shape[axis] // len(chosen))
                found[name] = along.view([-1 if at == axis else 1 for at in range(parameter.dim())]).expand_as(
                    parameter
                )
    return found


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "opt"])
@pytest.mark.parametrize("batch_tokens", [1000, 8])
def test_each_tasks_examples_have_gradients_for_its_own_neurons_alone(family, batch_tokens):
    """Against dense gradients of each task's share of the loss, masked by hand; in float64."""
    base = loaded_of(family)
    model = base.model.double()
    dense, own = copy.deepcopy(model), {task: random_set(12, widths(model), n) for n, task in enumerate(OWN_PAIRS)}
    assert 0 < len(own["one"].intersection(own["two"])) < 12
    batch = [pair for pairs in OWN_PAIRS.values() for pair in pairs]
    names = list(entries(dense, own["one"]))
    expected = {name: torch.zeros_like(dense.get_parameter(name)) for name in names}
    for task, pairs in OWN_PAIRS.items():
        loss = sample_losses(dense, collate(pairs, CPU.device)).sum() / len(batch)
        gradients = torch.autograd.grad(loss, [dense.get_parameter(name) for name in names])
        for name, gradient in zip(names, gradients, strict=True):
            expected[name] += gradient * entries(dense, own[task])[name]
    settings = LoopSettings(batch_tokens=batch_tokens)
    with trained_neurons(model, union_of(list(own.values()))) as trained:
        hooks = RoutedNeurons(trained, own, OWN_PAIRS, base, settings)
        sample_losses(model, collate(batch, CPU.device)).mean().backward()  # the loop's own, which is thrown away
        assert hooks.penalty(batch) is None
        for one, part in zip(trained.slices, trained.parts, strict=True):
            found = torch.zeros_like(expected[one.name])
            one.__class__(one.name, nn.Parameter(found), one.axis, one.index).write(part.grad)
            torch.testing.assert_close(found, expected.pop(one.name), rtol=0, atol=1e-12)
    assert not any(left.any() for left in expected.values())


def test_neurons_of_a_task_without_examples_in_a_batch_have_no_gradient():
    base = loaded_of("llama")
    own = {"one": top_set(base, 0), "two": top_set(base, 1)}
    with trained_neurons(base.model, union_of(list(own.values()))) as trained:
        hooks = RoutedNeurons(trained, own, OWN_PAIRS, base, LoopSettings())
        hooks.penalty(OWN_PAIRS["two"])
        gradients = [part.grad for part in trained.parts]
        chosen = hooks.rows["two"]
    for gradient, rows in zip(gradients, chosen, strict=True):
        assert gradient[rows].any() and not gradient[~rows].any()


def top_set(base, seed):
    return top_share(np.random.default_rng(seed).random(sum(widths(base.model))), 20, tuple(widths(base.model)))


# ---- the steps ----


def test_a_set_is_measured_with_its_trained_values_in_the_model(base, tmp_path):
    frame = run(proportion_sweep, SWEEP, tmp_path, base)
    assert list(frame.groupby("proportion")["n_neurons"].first()) == [0, 24, 72]
    assert set(frame["seed"]) == {0} and set(frame["kind"]) == {"none", "union"}
    assert frame.groupby("proportion")["learning_rate"].first().fillna(0).tolist() == [0, 1e-2, 1e-2]
    assert frame.groupby("proportion")["at_edge"].first().tolist() == [False, True, False]
    tasks = {task: read_task(tmp_path / f"{task}.parquet") for task in TEXTS}
    pairs = [example.pair for task in ("one", "two") for example in tasks[task].encoded(base.tokenizer)]
    scores = [
        read_frame(tmp_path / f"{task}.scores.parquet", "scores")[0]["score"].to_numpy() for task in ("one", "two")
    ]
    neurons = union_of([top_share(values, 20, tuple(widths(base.model))) for values in scores])
    for proportion in (0, 20):
        if proportion:
            with trained_neurons(base.model, neurons) as trained:
                train(base.model, trained, pairs, TUNING.at(1e-2), base.compute, 0, "by hand")
        for key in ("one", "three"):
            examples = tasks[key].encoded(base.tokenizer)
            losses = target_losses(
                base, [one.pair for one in examples[:3]], Passes(batch_size=2, batch_tokens=100), key
            )
            rows = frame[(frame["proportion"] == proportion) & (frame["task"] == key)]
            assert rows.loc[rows["measure"] == "loss", "value"].tolist() == losses
            scored = predict(base, tasks[key], examples[:2], Evaluation(batch_size=2))[1]
            assert rows.loc[rows["measure"] == "score", "value"].tolist() == scored


def test_without_scored_examples_there_are_losses_alone_and_first_examples_train(base, tmp_path):
    settings = SWEEP.model_copy(update={"scored_examples": 0, "train_examples": 2, "percents": [20.0]})
    frame = run(proportion_sweep, settings, tmp_path, base)
    assert set(frame["measure"]) == {"loss"}
    group = group_tuning.read_group(settings, **{**group_files(tmp_path), "validation": []})
    assert [len(pairs) for pairs in group.pairs.values()] == [2, 2] and list(group.pairs) == ["one", "two"]


def group_files(folder):
    names = {"data": ("one", "two"), "tests": ("one", "three")}
    return {
        "base": Path("base"),
        **{key: [folder / f"{task}.parquet" for task in tasks] for key, tasks in names.items()},
        "checkpoints": folder / "checkpoints",
    }


def test_patience_looks_at_the_validation_examples_of_all_trained_tasks(base, tmp_path, monkeypatch):
    seen = []
    own = group_tuning.train
    monkeypatch.setattr(group_tuning, "train", lambda *given: seen.append(given[7]) or own(*given))
    patient = SWEEP.model_copy(update={"training": TUNING.model_copy(update={"patience": 1}), "percents": [20.0]})
    run(proportion_sweep, patient, tmp_path, base)
    run(proportion_sweep, SWEEP.model_copy(update={"percents": [20.0]}), tmp_path, base)
    assert [len(examples) for examples in seen] == [2 * TUNING.validation, 0]


def test_cells_of_the_ablation(base, tmp_path):
    frame = run(overlap_ablation, ABLATION, tmp_path, base)
    failed = frame[frame["reason"] != ""]
    assert set(failed["kind"]) == {"other-kind"} and failed["value"].isna().all() and len(failed) == 4
    made = frame[frame["reason"] == ""]
    assert set(made["task"]) == {"three"}
    sets = made.drop_duplicates(["kind", "share", "draw"]).set_index(["kind", "share", "draw"]).sort_index()
    assert set(sets.index.get_level_values("kind")) == {"none", "natural", "controlled", "score-matched"}
    assert len(sets) == 1 + 1 + 2 * 2 * 2
    size = sets.loc["natural", "n_neurons"].iloc[0]
    for share in (25, 50):
        assert sets.loc[("controlled", share), "overlap"].tolist() == pytest.approx(
            [100 * round(size * share / 100) / size] * 2
        )
        assert sets.loc[("score-matched", share), "overlap"].tolist() == [0, 0]
    losses = made[made["measure"] == "loss"].groupby(["kind", "share", "draw"], dropna=False)["value"].sum()
    assert losses.nunique() == len(losses)  # no two sets did the same


@pytest.mark.parametrize(
    ("step", "settings", "sets"),
    [
        (proportion_sweep, SWEEP, 2),
        (proportion_sweep, SWEEP.model_copy(update={"reading": "own"}), 2),
        (overlap_ablation, ABLATION.model_copy(update={"shares": [50], "draws": 1}), 3),
    ],
)
def test_a_killed_job_goes_on_to_the_same_bits(step, settings, sets, base, steps, tmp_path, monkeypatch):
    """Sets of 8 steps each: the job dies before the fourth step of the second one."""
    whole = run(step, settings, tmp_path / "whole", base)
    assert len(steps) == 8 * sets
    job = partial(run, step, settings, tmp_path / "killed", base)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(11, patch)
        job()
    before = len(steps)
    pd.testing.assert_frame_equal(whole, job(), check_exact=True)
    assert len(steps) - before == 8 * sets - 11


def test_what_other_settings_measured_is_not_taken(base, steps, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(11, patch)
        run(proportion_sweep, SWEEP, tmp_path, base)
    before = len(steps)
    other = SWEEP.model_copy(update={"seed": 1})
    changed = run(proportion_sweep, other, tmp_path, base)
    assert len(steps) - before == 16
    pd.testing.assert_frame_equal(changed, run(proportion_sweep, other, tmp_path / "whole", base), check_exact=True)


def test_equal_sets_are_trained_once(base, steps, tmp_path):
    """99.9 % and 100 % of 72 neurons are the same."""
    frame = run(proportion_sweep, SWEEP.model_copy(update={"percents": [99.9, 100.0]}), tmp_path, base)
    assert len(steps) == 8
    first, second = (frame[frame["proportion"] == percent]["value"].tolist() for percent in (99.9, 100))
    assert first == second


# ---- the learning rates of the proportions ----

GRID = RateSearch(grid=[1e-3, 1e-2], extensions=1)
RATES = sweep_rates.SweepRateSettings(
    **{**GROUP, "test": ["one", "two"], "examples": 3, "scored_examples": 0}, group="G", percents=[100, 20],
    reading="union", rates=GRID,
)  # fmt: skip


def run_rates(settings, folder, base) -> pd.DataFrame:
    files = files_in(folder, base, settings)
    given = {key: files[key] for key in ("base", "data", "validation", "scores", "checkpoints")}
    sweep_rates.main(settings, **given, rates=folder / "found.parquet")
    assert not files["checkpoints"].exists()
    return read_frame(folder / "found.parquet", proportion_sweep.RATES)[0]


def test_a_proportions_rate_has_the_lowest_validation_loss(base, tmp_path):
    """Against trainings by hand at every rate that was tried."""
    frame = run_rates(RATES, tmp_path, base)
    tasks = {task: read_task(tmp_path / f"{task}.parquet").encoded(base.tokenizer) for task in ("one", "two")}
    pairs = {task: [example.pair for example in examples] for task, examples in tasks.items()}
    values, widths_of = group_tuning.read_scores([tmp_path / f"{task}.scores.parquet" for task in pairs])
    for percent, rows in frame.groupby("proportion"):
        means = rows.groupby("learning_rate")["validation_loss"].mean()
        chosen = rows.loc[rows["chosen"], "learning_rate"].unique()
        assert chosen.tolist() == [means.idxmin()]
        assert rows["at_edge"].unique().tolist() == [chosen[0] in (means.index.min(), means.index.max())]
        assert len(means) == 3  # with two rates tried, the best is an end: one beyond it was tried
        neurons = union_of([top_share(values[task], percent, widths_of) for task in pairs])
        for rate in means.index:
            with trained_neurons(base.model, neurons) as trained, entries_put_back(trained.slices):
                train(base.model, trained, [*pairs["one"], *pairs["two"]], TUNING.at(rate), base.compute, 0, "by hand")
                losses = {
                    task: np.mean(target_losses(base, of[:3], Passes(batch_size=2, batch_tokens=100), task))
                    for task, of in pairs.items()
                }
            found = rows[rows["learning_rate"] == rate].set_index("task")["validation_loss"]
            assert found.to_dict() == pytest.approx(losses)


def test_a_rate_at_which_a_group_diverges_is_not_chosen(base, tmp_path):
    frame = run_rates(RATES.model_copy(update={"rates": RateSearch(grid=[1e-2, 1e30], extensions=0)}), tmp_path, base)
    assert np.isinf(frame.loc[frame["learning_rate"] == 1e30, "validation_loss"]).all()
    assert set(frame.loc[frame["chosen"], "learning_rate"]) == {1e-2}
    with pytest.raises(UserError, match=r"G at 20 %: at every learning rate \(1e\+30, 1e\+31\) the training diverges"):
        run_rates(RATES.model_copy(update={"rates": RateSearch(grid=[1e30, 1e31], extensions=0)}), tmp_path, base)


def test_a_killed_search_goes_on_to_the_same_bits(base, steps, tmp_path, monkeypatch):
    settings = RATES.model_copy(update={"percents": [20.0]})
    whole = run_rates(settings, tmp_path / "whole", base)
    done = len(steps)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(11, patch)
        run_rates(settings, tmp_path / "killed", base)
    before = len(steps)
    pd.testing.assert_frame_equal(whole, run_rates(settings, tmp_path / "killed", base), check_exact=True)
    assert len(steps) - before == done - 11
