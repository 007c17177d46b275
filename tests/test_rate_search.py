"""Learning rates by validation loss, and the curves of losses, against plain trainings and by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import TRAINING, TUNING, loaded_of, task_file
from taskneurons.config.settings import DeviceSettings, RateSearch
from taskneurons.core.artifacts import read_frame
from taskneurons.core.errors import UserError
from taskneurons.data.task import read_task
from taskneurons.models.loaded import weights_hash
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.mask_file import write_mask
from taskneurons.neurons.neuron_set import NeuronSet, random_set
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import DivergedError, mean_loss, train
from taskneurons.tuning import rate_search
from taskneurons.tuning.delta import with_delta
from taskneurons.tuning.trained_neurons import entries_put_back, trained_neurons
from taskneurons.tuning.watched import Job, pairs_of, train_set


def searched(losses, grid, extensions):
    """The rates tried and the one chosen, by a function of the losses."""
    found, chosen = rate_search.search(losses, RateSearch(grid=grid, extensions=extensions))
    return list(found), chosen


def test_the_rate_with_the_lowest_mean_is_chosen():
    """Of 1, 2, 4 the middle one by the mean; by either task alone it would be another."""
    losses = {1.0: [0.0, 5.0], 2.0: [1.0, 1.0], 4.0: [5.0, 0.0]}
    assert searched(losses.get, [4.0, 1.0, 2.0], 3) == ([1.0, 2.0, 4.0], 2.0)


def test_the_grid_is_extended_where_the_best_is_its_end():
    def away_from(best):
        return lambda rate: [abs(math.log(rate / best))]

    assert searched(away_from(100), [1, 10], 2) == ([1, 10, 100, 1000], 100)  # 1000 shows that 100 is no end
    assert searched(away_from(1e9), [1, 10], 2) == ([1, 10, 100, 1000], 1000)  # still the end
    assert searched(away_from(0.3), [2, 6, 24], 2) == ([0.2222, 0.6667, 2, 6, 24], 0.2222)
    assert searched(away_from(1e9), [2, 6, 24], 1) == ([2, 6, 24, 96], 96)  # the ratio of the two neighbours
    assert searched(away_from(1e9), [1, 10], 0) == ([1, 10], 10)


def test_the_smaller_one_of_equal_rates_and_none_that_diverges():
    assert searched(lambda rate: [1.0], [1, 10, 100], 0) == ([1, 10, 100], 1)
    losses = {1.0: [3.0, 3.0], 10.0: [1.0, math.inf], 0.1: [2.0, 2.0], 0.01: [4.0, 4.0]}
    assert searched(losses.get, [1, 10], 2) == ([0.01, 0.1, 1, 10], 0.1)


@pytest.fixture
def base(monkeypatch):
    base = loaded_of("llama")
    monkeypatch.setattr(rate_search, "load_model", lambda path, settings: base)
    return base


def job_of(base, folder, points=1, **changes):
    """A training on the four examples of the task: 4 steps."""
    task = read_task(task_file(folder / "one.parquet", "one"))
    settings = TRAINING.model_copy(update=changes)
    return Job("one", pairs_of(task, base), pairs_of(task, base, 2), settings, 0, points)


def some(base, number=7):
    return random_set(number, widths(base.model), 0)


def finished(base, job, folder, neurons=None, provenance=None):
    neurons = some(base) if neurons is None else neurons
    return train_set(base, neurons, job, "test", Checkpoint(folder / "state.safetensors", "key"), provenance)


def plain_loss(base, job):
    """The loss after a plain training of the same neurons."""
    with trained_neurons(base.model, some(base)) as trained, entries_put_back(trained.slices):
        train(base.model, trained, job.pairs, job.settings, base.compute, job.seed, "plain")
        return mean_loss(base.model, job.validation, job.settings, base.compute)


def search_settings(grid, **changes):
    given = {"kind": "own", "training": TUNING, "rates": RateSearch(grid=grid, extensions=0), "examples": 0, "seed": 0}
    return rate_search.SearchSettings(**given | changes, compute=DeviceSettings())


def run_search(base, folder, settings):
    """The search on two tasks with the same examples and the same set."""
    files = [task_file(folder / f"{task}.parquet", task) for task in ("one", "two")]
    made = {"set": "one", "rule": "global", "k": 10.0, "model": base.identity}
    write_mask(folder / "mask.parquet", some(base), [None] * 3, None, made)
    rate_search.main(
        settings,
        base=Path("base"),
        data=files,
        validation=files,
        masks=[folder / "mask.parquet"] * 2,
        checkpoints=folder / "checkpoints",
        rates=folder / "rates.parquet",
    )
    return read_frame(folder / "rates.parquet", "learning rates")


def test_the_losses_are_those_after_plain_trainings(base, tmp_path):
    before = weights_hash(base.model)
    frame, made = run_search(base, tmp_path, search_settings([1e-2, 1e-4]))
    assert weights_hash(base.model) == before
    assert list(zip(frame["learning_rate"], frame["task"], strict=True)) == [
        (rate, task) for rate in (1e-4, 1e-2) for task in ("one", "two")
    ]
    assert set(frame["kind"]) == {"own"}
    for rate, loss in zip(frame["learning_rate"], frame["validation_loss"], strict=True):
        assert loss == plain_loss(base, job_of(base, tmp_path, learning_rate=rate))
    assert (made["set_kind"], made["learning_rate"], made["at_edge"]) == ("own", 1e-2, True)


def test_a_training_that_diverges_has_an_infinite_loss(base, tmp_path):
    frame, made = run_search(base, tmp_path, search_settings([1e-2, 1e30]))
    assert np.isinf(frame["validation_loss"]).tolist() == [False, False, True, True]
    assert made["learning_rate"] == 1e-2
    with pytest.raises(UserError, match=r"own: at every learning rate \(1e\+30, 1e\+31\) some training diverges"):
        run_search(base, tmp_path, search_settings([1e30, 1e31]))


def test_a_training_that_diverges_is_told_and_the_model_is_whole(base, tmp_path):
    before = weights_hash(base.model)
    with pytest.raises(DivergedError, match=r"test, step 1: the loss is .* norm nan: lower learning_rate"):
        finished(base, job_of(base, tmp_path, learning_rate=1e30), tmp_path)
    assert weights_hash(base.model) == before
    assert all(torch.isfinite(parameter).all() for parameter in base.model.parameters())


def test_a_curve_has_the_losses_that_the_loop_measures(base, tmp_path):
    """Two epochs of two steps: the points after steps 2 and 4 are the ends of epochs, which the loop can watch too."""
    job = job_of(base, tmp_path, points=2)
    with trained_neurons(base.model, some(base)) as trained, entries_put_back(trained.slices):
        history = train(base.model, trained, job.pairs, job.settings, base.compute, 0, "plain", job.validation)
    curve = finished(base, job, tmp_path).curve
    assert curve["step"].tolist() == [2, 4] and curve["trained_pct"].tolist() == [50, 100]
    assert curve["validation_loss"].tolist() == history["validation_loss"].dropna().tolist()


def test_points_are_evenly_spaced_and_may_fall_together(base, tmp_path):
    assert job_of(base, tmp_path, points=3).watched == [1, 3, 4]
    assert job_of(base, tmp_path, points=8, epochs=1).watched == [1, 1, 1, 1, 1, 2, 2, 2]
    curve = finished(base, job_of(base, tmp_path, points=8, epochs=1), tmp_path).curve
    assert curve["validation_loss"].nunique() == 2


@pytest.mark.parametrize("family", ["llama", "gpt2"])  # gpt2 has dropout
def test_looking_at_the_loss_changes_no_training(family, tmp_path):
    base = loaded_of(family)
    results = [
        finished(base, job_of(base, tmp_path, points=points), tmp_path, provenance={"set": "s"}) for points in (1, 4)
    ]
    assert results[0].delta.result == results[1].delta.result != base.identity
    assert results[0].curve["validation_loss"].iloc[-1] == results[1].curve["validation_loss"].iloc[-1]


def test_a_training_that_stops_early_keeps_the_loss_of_its_end(base, tmp_path):
    """What is watched are other answers than those that are learnt: the first epoch is the best one."""
    job = job_of(base, tmp_path, points=5, epochs=5, patience=1, learning_rate=0.2, schedule="constant")
    others = [(prompt, job.pairs[number - 1][1][:1]) for number, (prompt, _) in enumerate(job.pairs)]
    job = replace(job, validation=others)
    done = finished(base, job, tmp_path, provenance={"set": "s"})
    taken = len(done.history)
    assert taken == 4 < job.steps
    with with_delta(base, done.delta):
        end = job.loss(base)
    losses = dict(zip(done.curve["step"], done.curve["validation_loss"], strict=True))
    assert {loss for step, loss in losses.items() if step > taken} == {end}
    assert end == done.history["validation_loss"].min()


def test_a_set_without_neurons_changes_nothing(base, tmp_path):
    empty = NeuronSet(np.zeros(sum(widths(base.model)), dtype=bool), tuple(widths(base.model)))
    job = job_of(base, tmp_path, points=2)
    done = finished(base, job, tmp_path, empty, {"set": "s"})
    assert done.curve["validation_loss"].tolist() == [job.loss(base)] * 2
    assert len(done.history) == 0 and done.delta.result == base.identity
