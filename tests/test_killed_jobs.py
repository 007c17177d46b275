"""Jobs that are killed in a training: what they had finished is kept, and the rest goes on to the same bits."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from conftest import TRAINING, TUNING, KilledError, killed_at, loaded_of, rates_file, task_file
from taskneurons.config.settings import Architecture, DeviceSettings, RateSearch
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.models.loaded import read_model_provenance
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.mask_file import write_mask
from taskneurons.neurons.neuron_set import random_set
from taskneurons.training import multitask, pretrain
from taskneurons.tuning import rate_search, tune, watched
from taskneurons.tuning.delta import read_delta


def write_masks(paths, sets, base):
    """Masks of (set's name, k, neurons) on the base model."""
    for path, (name, k, neurons) in zip(paths, sets, strict=True):
        made = {"set": name, "rule": "global", "k": k, "model": base.identity}
        write_mask(path, neurons, [None] * len(neurons.widths), None, made)


SETTINGS = tune.TuningSettings(training=TUNING, common=None, examples=0, curve=4, seed=0, compute=DeviceSettings())


def tuning_of(folder, names):
    """The files of a neuron tuning, and its deltas by their names; the sets are named as crossed ones are."""
    return {
        "base": Path("base"),
        "data": task_file(folder / "data.parquet", "one"),
        "validation": folder / "data.parquet",
        "rates": [rates_file(folder / "rates.parquet", "own", 1e-2)],
        "crossed": [folder / f"{number}.parquet" for number in range(len(names))],
        "metrics": folder / "training.parquet",
        "curves": folder / "curves.parquet",
        "checkpoints": folder / "checkpoints",
        "deltas": [folder / f"crossed-{name}-tuned.safetensors" for name in names],
    }


@pytest.fixture
def base(monkeypatch):
    base = loaded_of("llama")
    for module in (tune, rate_search):
        monkeypatch.setattr(module, "load_model", lambda path, settings: base)
    return base


def killed_and_resumed(job, steps, monkeypatch, kill_at):
    """Run a job that dies before a step, and run it again; the number of steps of the second run."""
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(kill_at, patch)
        job()
    before = len(steps)
    job()
    return len(steps) - before


def test_neuron_tuning_goes_on_within_a_set(base, steps, tmp_path, monkeypatch):
    """Two sets of 4 steps: the job dies before the third step of the second one."""
    found = []
    for folder in (tmp_path / "whole", tmp_path / "killed"):
        folder.mkdir()
        files = tuning_of(folder, ["x10", "y10"])
        sets = [(name, 10, random_set(7, widths(base.model), seed)) for seed, name in enumerate("xy")]
        write_masks(files["crossed"], sets, base)
        job = partial(tune.main, SETTINGS, **files)
        if folder.name == "whole":
            job()
        else:
            assert killed_and_resumed(job, steps, monkeypatch, 6) == 2
        deltas = [read_delta(path) for path in files["deltas"]]
        history, curve = (
            read_frame(files["metrics"], "training")[0],
            read_frame(files["curves"], "validation losses")[0],
        )
        found.append(([delta.result for delta in deltas], history, curve))
        assert not files["checkpoints"].exists()
    assert found[0][0] == found[1][0]
    for whole, killed in zip(found[0][1:], found[1][1:], strict=True):
        pd.testing.assert_frame_equal(whole, killed)
    assert found[0][2]["validation_loss"].nunique() == 9  # the beginning, and 4 points of either set


def test_a_rate_search_goes_on(base, steps, tmp_path, monkeypatch):
    """Two rates and one beyond, of 4 steps each: the job dies before the third step of the second."""
    write_masks([tmp_path / "mask.parquet"], [("one", 10, random_set(7, widths(base.model), 0))], base)
    settings = rate_search.SearchSettings(
        kind="own",
        training=TUNING,
        rates=RateSearch(grid=[1e-3, 1e-2], extensions=1),
        examples=0,
        seed=0,
        compute=DeviceSettings(),
    )

    def job(name):
        data = task_file(tmp_path / "data.parquet", "one")
        return partial(
            rate_search.main,
            settings,
            base=Path("base"),
            data=[data],
            validation=[data],
            masks=[tmp_path / "mask.parquet"],
            checkpoints=tmp_path / "checkpoints",
            rates=tmp_path / f"{name}.parquet",
        )

    job("whole")()
    assert len(steps) == 12
    assert killed_and_resumed(job("killed"), steps, monkeypatch, 6) == 2 + 4
    (whole, said), (killed, also) = (
        read_frame(tmp_path / f"{name}.parquet", "learning rates") for name in ("whole", "killed")
    )
    pd.testing.assert_frame_equal(whole, killed)
    assert whole["learning_rate"].tolist() == [1e-3, 1e-2, 1e-1]
    assert said["learning_rate"] == also["learning_rate"]
    assert not (tmp_path / "checkpoints").exists()


def test_multitask_training_goes_on(steps, tmp_path, monkeypatch):
    """One task's 4 examples, 2 epochs: 4 steps; the job dies before the third, or while it stores the model."""

    def job(name):
        monkeypatch.setattr(multitask, "load_model", lambda path, settings: loaded_of("llama"))
        return partial(
            multitask.main,
            multitask.MultitaskSettings(training=TRAINING, tasks=["one"], seed=0, compute=DeviceSettings()),
            base=Path("base"),
            data=[task_file(tmp_path / "data.parquet", "one")],
            validation=[tmp_path / "data.parquet"],
            metrics=tmp_path / f"{name}.parquet",
            checkpoint=tmp_path / f"{name}.safetensors",
            model=tmp_path / name,
        )

    job("whole")()
    assert killed_and_resumed(job("killed"), steps, monkeypatch, 2) == 2
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(multitask, "save_model", full_disk)
        job("full")()
    before = len(steps)
    job("full")()
    assert len(steps) == before  # nothing is trained again
    identities = {read_model_provenance(tmp_path / name)["identity"] for name in ("whole", "killed", "full")}
    assert len(identities) == 1
    assert not list(tmp_path.glob("*.safetensors"))


def full_disk(*arguments, **options):
    raise OSError("the disk is full")


def test_pretraining_goes_on(steps, tmp_path, monkeypatch):
    text = pd.DataFrame({"text": ["the cat sat on the mat .", "a dog saw the cat .", "yes no maybe"]})
    write_frame(tmp_path / "text.parquet", text, "pre-training text", {})
    settings = pretrain.PretrainSettings(
        vocabulary=300,
        architecture=Architecture(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2),
        training=TRAINING.model_copy(update={"batch_size": 1, "validation": 0}),
        seed=0,
        compute=DeviceSettings(device="cpu", dtype="float32"),
    )

    def job(name):
        return partial(
            pretrain.main,
            settings,
            text=tmp_path / "text.parquet",
            metrics=tmp_path / f"{name}.parquet",
            checkpoint=tmp_path / f"{name}.safetensors",
            model=tmp_path / name,
        )

    job("whole")()
    assert killed_and_resumed(job("killed"), steps, monkeypatch, 4) == 2
    whole, killed = (read_model_provenance(tmp_path / name)["identity"] for name in ("whole", "killed"))
    assert whole == killed
    assert not list(tmp_path.glob("*.safetensors"))


def test_finished_sets_are_kept_and_other_masks_are_not_taken_for_them(base, tmp_path, monkeypatch):
    """The second of two sets dies; the next try trains that one alone, and anew if its mask is another one."""
    own, trained = watched.train, []

    def dying(model, *arguments):
        trained.append(arguments[5])
        if len(trained) == 2:
            raise KilledError
        return own(model, *arguments)

    monkeypatch.setattr(watched, "train", dying)
    files = tuning_of(tmp_path, ["x10", "y10"])

    def run(seed):
        write_masks(files["crossed"], [(name, 10, random_set(7, widths(base.model), seed)) for name in "xy"], base)
        tune.main(SETTINGS, **files)

    with pytest.raises(KilledError):
        run(seed=1)
    run(seed=1)
    x, y = (f"crossed-{name}10-tuned on one" for name in "xy")
    assert trained == [x, y, y]
    assert all(path.is_file() for path in files["deltas"]) and not files["checkpoints"].exists()
    trained.clear()
    with pytest.raises(KilledError):
        run(seed=1)
    run(seed=2)
    assert trained == [x, y, x, y]


def test_shares_of_a_percent_and_a_job_that_died_at_its_very_end(base, tmp_path, monkeypatch):
    """Sets that differ behind the point of k have files of their own; deltas that were moved away are made again."""
    sets = [("one", k, random_set(n, widths(base.model), n)) for k, n in ((0.1, 3), (0.5, 7))]
    files = tuning_of(tmp_path, ["one0.1", "one0.5"])
    write_masks(files["crossed"], sets, base)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(tune, "write_frame", full_disk)
        tune.main(SETTINGS, **files)
    for path in files["deltas"]:
        path.unlink()  # as Snakemake does with the outputs of a job that failed
    tune.main(SETTINGS, **files)
    assert [read_delta(path).neurons for path in files["deltas"]] == [neurons for _, _, neurons in sets]
