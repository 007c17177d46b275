"""Jobs that are killed in a training: what they had finished is kept, and the rest goes on to the same bits."""

import argparse

import pandas as pd
import pytest

from conftest import TRAINING, KilledError, killed_at, loaded_of, task_file
from taskneurons import multitask, neuron_tuning, pretrain_base, training
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.models.loaded import read_identity
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.neuron_set import random_set, write_mask
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.tuning.delta import read_delta


def write_masks(paths, sets, base):
    """Masks of (set's name, k, neurons) on the base model."""
    for path, (name, k, neurons) in zip(paths, sets, strict=True):
        made = {"set": name, "rule": "global", "k": k, "model": base.identity["identity"]}
        write_mask(path, neurons, [None] * len(neurons.widths), None, made)


def tuning_of(folder, number):
    """The arguments of a neuron tuning of so many sets, less its validation split."""
    masks, outs = ([folder / f"{n}.{kind}" for n in range(number)] for kind in ("parquet", "safetensors"))
    return argparse.Namespace(
        spec={"training": TRAINING, "seed": 0, "compute": {}},
        model="base",
        data=task_file(folder / "data.parquet", "one"),
        validation=[folder / "data.parquet"],
        masks=masks,
        metrics=folder / "training.parquet",
        checkpoints=folder / "checkpoints",
        out=outs,
    )


@pytest.fixture
def base(monkeypatch):
    base = loaded_of("llama")
    monkeypatch.setattr(neuron_tuning, "load_model", lambda path, settings: base)
    return base


@pytest.fixture
def steps(monkeypatch):
    """The steps that trainings take; each is followed by a checkpoint."""
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)
    own, taken = training._step, []

    def counted(*arguments):
        taken.append(arguments[-1])
        return own(*arguments)

    monkeypatch.setattr(training, "_step", counted)
    return taken


def killed_and_resumed(main, arguments, steps, monkeypatch, kill_at):
    """Run a job that dies before a step, and run it again; the number of steps of the second run."""
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(kill_at, patch)
        main(arguments)
    before = len(steps)
    main(arguments)
    return len(steps) - before


def test_neuron_tuning_goes_on_within_a_set(base, steps, tmp_path, monkeypatch):
    """Two sets of 4 steps: the job dies before the third step of the second one."""
    found = []
    for folder in (tmp_path / "whole", tmp_path / "killed"):
        folder.mkdir()
        arguments = tuning_of(folder, 2)
        sets = [(str(seed), 10, random_set(7, widths(base.model), seed)) for seed in range(2)]
        write_masks(arguments.masks, sets, base)
        if folder.name == "whole":
            neuron_tuning.main(arguments)
        else:
            assert killed_and_resumed(neuron_tuning.main, arguments, steps, monkeypatch, 6) == 2
        deltas = [read_delta(out) for out in arguments.out]
        found.append(([delta.result for delta in deltas], read_frame(arguments.metrics, "training")[0]))
        assert not arguments.checkpoints.exists()
    assert found[0][0] == found[1][0]
    pd.testing.assert_frame_equal(found[0][1], found[1][1])


def test_multitask_training_goes_on(steps, tmp_path, monkeypatch):
    """One task's 4 examples, 2 epochs: 4 steps; the job dies before the third, or while it stores the model."""

    def job(name):
        monkeypatch.setattr(multitask, "load_model", lambda path, settings: loaded_of("llama"))
        return argparse.Namespace(
            spec={"training": TRAINING, "seed": 0, "compute": {}},
            model="base",
            data=[task_file(tmp_path / "data.parquet", "one")],
            validation=[tmp_path / "data.parquet"],
            metrics=tmp_path / f"{name}.parquet",
            checkpoint=tmp_path / f"{name}.safetensors",
            out=tmp_path / name,
        )

    multitask.main(job("whole"))
    assert killed_and_resumed(multitask.main, job("killed"), steps, monkeypatch, 2) == 2
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(multitask, "save_model", full_disk)
        multitask.main(job("full"))
    before = len(steps)
    multitask.main(job("full"))
    assert len(steps) == before  # nothing is trained again
    identities = {read_identity(tmp_path / name)["identity"] for name in ("whole", "killed", "full")}
    assert len(identities) == 1
    assert not list(tmp_path.glob("*.safetensors"))


def full_disk(*arguments, **options):
    raise OSError("the disk is full")


def test_pretraining_goes_on(steps, tmp_path, monkeypatch):
    text = pd.DataFrame({"text": ["the cat sat on the mat .", "a dog saw the cat .", "yes no maybe"]})
    write_frame(tmp_path / "text.parquet", text, "pre-training text", {})
    architecture = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    compute = {"threads": 1, "device": "cpu", "dtype": "float32", "weights": "float32"}
    settings = {**TRAINING, "batch_size": 1}
    spec = {
        "pretrain": {"vocabulary": 300, "architecture": architecture, "training": settings},
        "seed": 0,
        "compute": compute,
    }

    def job(name):
        return argparse.Namespace(
            spec=spec,
            text=tmp_path / "text.parquet",
            metrics=tmp_path / f"{name}.parquet",
            checkpoint=tmp_path / f"{name}.safetensors",
            out=tmp_path / name,
        )

    pretrain_base.main(job("whole"))
    assert killed_and_resumed(pretrain_base.main, job("killed"), steps, monkeypatch, 4) == 2
    assert read_identity(tmp_path / "whole")["identity"] == read_identity(tmp_path / "killed")["identity"]
    assert not list(tmp_path.glob("*.safetensors"))


def test_finished_sets_are_kept_and_other_masks_are_not_taken_for_them(base, tmp_path, monkeypatch):
    """The second of two sets dies; the next try trains that one alone, and anew if its mask is another one."""
    own, trained = neuron_tuning.train, []

    def dying(model, *arguments):
        trained.append(arguments[5])
        if len(trained) == 2:
            raise KilledError
        return own(model, *arguments)

    monkeypatch.setattr(neuron_tuning, "train", dying)
    arguments = tuning_of(tmp_path, 2)

    def run(seed):
        write_masks(arguments.masks, [(name, 10, random_set(7, widths(base.model), seed)) for name in ("x", "y")], base)
        neuron_tuning.main(arguments)

    with pytest.raises(KilledError):
        run(seed=1)
    run(seed=1)
    assert trained == ["x on one", "y on one", "y on one"]
    assert all(out.is_file() for out in arguments.out) and not arguments.checkpoints.exists()
    trained.clear()
    with pytest.raises(KilledError):
        run(seed=1)
    run(seed=2)
    assert trained == ["x on one", "y on one", "x on one", "y on one"]


def test_shares_of_a_percent_and_a_job_that_died_at_its_very_end(base, tmp_path, monkeypatch):
    """Sets that differ behind the point of k have files of their own; deltas that were moved away are made again."""
    sets = [("one", k, random_set(n, widths(base.model), n)) for k, n in ((0.1, 3), (0.5, 7))]
    arguments = tuning_of(tmp_path, 2)
    write_masks(arguments.masks, sets, base)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(neuron_tuning.pd, "concat", full_disk)
        neuron_tuning.main(arguments)
    for out in arguments.out:
        out.unlink()  # as Snakemake does with the outputs of a job that failed
    neuron_tuning.main(arguments)
    assert [read_delta(out).neurons for out in arguments.out] == [neurons for _, _, neurons in sets]
