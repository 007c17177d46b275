"""The steps of continual learning: which state a stage starts from and is tested in, how rates are chosen, kills."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import KilledError, killed_at, loaded_of
from taskneurons.config.settings import ContinualLoop, DeviceSettings, Evaluation, Passes, RateSearch
from taskneurons.continual import learn_stage, test_stage, tune_method, untrained
from taskneurons.continual.stages import STATE
from taskneurons.continual.tune_method import Tried, between, search, smallest_good
from taskneurons.core.artifacts import read_frame, read_provenance, write_frame
from taskneurons.core.errors import UserError
from taskneurons.data.labels import label_tokens
from taskneurons.data.task import read_task
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.evaluation.classification import label_scores
from taskneurons.models.loaded import weights_hash
from taskneurons.models.tensors_file import read_tensors
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.layout import neuron_index

LOOP = ContinualLoop(epochs=2, batch_size=2)  # 4 steps for a task of 4 examples
LABELS = ["yes", "no", "maybe", "good", "bad"]
TEXTS = {
    "one": (["the cat", "a dog saw the cat .", "yes", "maybe good"], ["yes", "no", "maybe", "good"]),
    "two": (["the cat sat", "review : great", "no maybe", "a dog"], ["yes", "good", "bad", "no"]),
    "three": (["saw the", "mat .", "sat on the mat .", "great"], ["good", "bad", "yes", "no"]),
}
COMMON = {"percent": 20.0, "scope": "global", "seed": 0, "compute": DeviceSettings()}
TESTING = {"evaluation": Evaluation(batch_size=2), "exact_match": True, "texts": 2, "passes": Passes()}


@pytest.fixture
def base(monkeypatch):
    base = loaded_of("llama")
    for step in (learn_stage, test_stage, tune_method, untrained):
        monkeypatch.setattr(step, "load_model", lambda path, settings: base)
    return base


@pytest.fixture
def files(tmp_path, base):
    """Task → its split, one for all; and its scores."""
    found = {}
    layers = widths(base.model)
    for task, (prompts, targets) in TEXTS.items():
        frame = pd.DataFrame({"prompt": prompts, "target": targets, "references": [[one] for one in targets]})
        made = {"task": task, "labels": LABELS, "metric": "accuracy", "closing_words": "", "split": "test", "lost": {}}
        made |= {"tokens": {"prompt": 50, "target": 3}, "data_hash": task}
        write_frame(tmp_path / f"{task}.parquet", frame, "task data", made)
        values = np.random.default_rng(list(task.encode())).random(sum(layers))
        scores = neuron_index(layers, [None] * len(layers)).assign(score=values, n_samples=4)
        made = {"task": task, "widths": list(layers), "experts": [None] * len(layers)}
        write_frame(tmp_path / f"{task}.scores.parquet", scores, "scores", made)
    found["data"] = lambda tasks: [tmp_path / f"{task}.parquet" for task in tasks]
    found["scores"] = lambda tasks: [tmp_path / f"{task}.scores.parquet" for task in tasks]
    return found


def learn(method: str, tasks: list[str], kept: list[Path], files, folder: Path, **changed) -> Path:
    """The state after a stage."""
    settings = {**COMMON, "training": LOOP, "method": method, "tasks": tasks, "learning_rate": 1e-2, "knob": None}
    settings |= {name: changed.pop(name) for name in list(changed) if name in settings}
    folder.mkdir(exist_ok=True)
    name = f"{method}-{'.'.join(tasks)}"
    given = {
        "data": files["data"](tasks[-1:]),
        "scores": files["scores"](tasks),
        "tuned": [],
        "checkpoint": folder / f"{name}.checkpoint.safetensors",
    } | changed
    made = {what: folder / f"{name}.{what}" for what in ("state", "history", "costs")}
    learn_stage.main(learn_stage.LearnSettings(**settings), base=Path("base"), kept=kept, **given, **made)
    assert not given["checkpoint"].exists()
    return made["state"]


def test(method: str, tasks: list[str], kept: list[Path], files, folder: Path, **changed) -> pd.DataFrame:
    settings = test_stage.TestedSettings(**{**COMMON, **TESTING, "method": method, "tasks": tasks, **changed})
    out = folder / "tested.parquet"
    test_stage.main(
        settings, base=Path("base"), tests=files["data"](tasks), kept=kept, general=files["data"](["three"]), tested=out
    )
    return read_frame(out, test_stage.TESTED)[0]


test.__test__ = False  # type: ignore[attr-defined]  # it is no test


def right(base, task) -> list[float]:
    """Whether the best-scored label is right, by hand."""
    examples = task.encoded(base.tokenizer)
    scores = label_scores(base, [one.prompt for one in examples], label_tokens(base.tokenizer, task), 4)
    return [
        float(LABELS[best] == target) for best, target in zip(scores.argmax(dim=1).tolist(), task.targets, strict=True)
    ]


def test_a_stage_goes_on_where_the_one_before_ended_and_is_tested_there(base, files, tmp_path):
    """SeqFT: every row of a test against the model of its time."""
    before = weights_hash(base.model)
    start = {name: value.clone() for name, value in base.model.state_dict().items()}
    first = learn("seqft", ["one"], [], files, tmp_path)
    base.model.load_state_dict(start)
    second = learn("seqft", ["one", "two"], [first], files, tmp_path)
    base.model.load_state_dict(start)
    assert read_tensors(first, STATE)[1]["sequence"] == ["one"]
    frame = test("seqft", ["one", "two"], [first, second], files, tmp_path)
    assert weights_hash(base.model) == before
    tasks = {task: read_task(files["data"]([task])[0]) for task in TEXTS}
    expected = {}
    for when, state in (("before", first), ("after", second)):
        tensors = read_tensors(state, STATE)[0]
        base.model.load_state_dict(
            {name.removeprefix("weight."): values for name, values in tensors.items()}, strict=False
        )
        expected |= {(when, task): right(base, tasks[task]) for task in ("one", "two")}
        texts = [([], one.prompt) for one in tasks["three"].encoded(base.tokenizer)[:2]]
        expected[when, ""] = target_losses(base, texts, Passes(), "texts")
    labels = frame[frame["measure"] == "label"]
    found = {key: rows["value"].tolist() for key, rows in labels.groupby(["when", "task"])}
    assert found == {key: expected[key] for key in (("before", "two"), ("after", "one"), ("after", "two"))}
    assert frame.loc[frame["measure"] == "general", "value"].tolist() == pytest.approx(expected["after", ""])
    assert set(frame["measure"]) == {"label", "general", "exact_match"} and set(frame["routed"]) == {""}


def test_a_method_that_needs_the_task_id_has_none_before_a_task_is_learnt(base, files, tmp_path):
    start = {name: value.clone() for name, value in base.model.state_dict().items()}
    states = []
    for task in ("one", "two"):
        states.append(learn("per-task-ft", [task], [], files, tmp_path))
        base.model.load_state_dict(start)
    frame = test("per-task-ft", ["one", "two"], states, files, tmp_path, exact_match=False)
    assert set(frame["when"]) == {"after"} and set(frame["measure"]) == {"label"}
    provenance = read_provenance(tmp_path / "tested.parquet", test_stage.TESTED)
    assert provenance["needs_task_id"] and not provenance["keeps_examples"] and provenance["method"] == "Per-Task FT"


def test_joint_training_learns_all_tasks_at_once(base, files, tmp_path):
    state = learn("joint", ["one", "two"], [], files, tmp_path, data=files["data"](["two", "one"]))
    history = read_frame(tmp_path / "joint-one.two.history", "training")[0]
    assert len(history) == 8  # two epochs of four batches of two
    assert read_tensors(state, STATE)[1]["trained_parameters"] == sum(p.numel() for p in base.model.parameters())


@pytest.mark.parametrize("method", ["seqft", "ncft"])
def test_a_killed_stage_goes_on_to_the_same_bits(method, base, steps, files, tmp_path, monkeypatch):
    start = {name: value.clone() for name, value in base.model.state_dict().items()}
    first = learn(method, ["one"], [], files, tmp_path / "first")

    def second(folder: str) -> dict[str, torch.Tensor]:
        base.model.load_state_dict(start)
        return read_tensors(learn(method, ["one", "two"], [first], files, tmp_path / folder), STATE)[0]

    whole = second("whole")
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(2, patch)
        second("killed")
    before = len(steps)
    again = second("killed")
    assert len(steps) - before == 2
    assert set(whole) == set(again) and all(torch.equal(whole[name], again[name]) for name in whole)


def test_zero_shot(base, files, tmp_path):
    settings = untrained.UntrainedSettings(
        evaluation=Evaluation(batch_size=2), texts=2, passes=Passes(), compute=DeviceSettings()
    )
    out = tmp_path / "zero.parquet"
    untrained.main(
        settings, base=Path("base"), tests=files["data"](["one", "two"]), general=files["data"](["three"]), tested=out
    )
    frame = read_frame(out, test_stage.TESTED)[0]
    tasks = {task: read_task(files["data"]([task])[0]) for task in TEXTS}
    for task in ("one", "two"):
        assert frame.loc[frame["task"] == task, "value"].tolist() == right(base, tasks[task])
    assert (frame["measure"] == "general").sum() == 2 and set(frame["when"]) == {"before"}


# ---- the choice of rates and knobs ----


def tried_at(accuracies, rate, knob):
    return Tried(rate, knob, *accuracies[rate, knob])


def test_the_smallest_rate_within_one_standard_error_is_taken():
    tried = [Tried(1, None, 0.5, 0.1), Tried(2, None, 0.65, 0.1), Tried(3, None, 0.7, 0.06), Tried(4, None, 0.6, 0)]
    assert smallest_good(tried).rate == 2
    assert smallest_good([tried[0], tried[2]]).rate == 3


def test_rates_between_a_rate_and_its_neighbours():
    assert between([1, 100, 10000], 100) == [10, 1000]
    assert between([1, 1000], 1) == [10, 100]
    assert between([1, 1000], 1000) == [100, 10]


def test_a_knob_is_tried_at_the_chosen_rate_and_others_try_as_many_rates():
    accuracies = {(1, 5): (0.2, 0), (2, 5): (0.6, 0), (4, 5): (0.5, 0), (2, 6): (0.7, 0), (2, 7): (0.4, 0)}
    tried, chosen = search(partial(tried_at, accuracies), RateSearch(grid=[1, 2, 4], extensions=1), [5, 6, 7], 2)
    assert [(one.rate, one.knob) for one in tried] == list(accuracies) and (chosen.rate, chosen.knob) == (2, 6)
    without = {(1, None): (0.2, 0), (4, None): (0.6, 0), (16, None): (0.5, 0), (2, None): (0.1, 0), (8, None): (0.9, 0)}
    tried, chosen = search(partial(tried_at, without), RateSearch(grid=[1, 4, 16], extensions=1), [], 2)
    assert [one.rate for one in tried] == [1, 2, 4, 8, 16] and chosen.rate == 8
    assert len(tried) == len(accuracies)
    for knobs, known in (([5, 6, 7], accuracies), ([], without)):
        tried, chosen = search(partial(tried_at, known), RateSearch(grid=[1, 4], extensions=0), knobs[:1], 0)
        assert [one.rate for one in tried] == [1, 4] and chosen.rate == 4


def test_a_best_rate_at_an_edge_extends_the_grid():
    accuracies = {(1, 5): (0.2, 0), (10, 5): (0.6, 0), (100, 5): (0.7, 0), (1000, 5): (0.8, 0), (100, 6): (0, 0)}
    accuracies |= {(1000, 6): (0.1, 0), (1000, 7): (0.1, 0)}
    tried, chosen = search(partial(tried_at, accuracies), RateSearch(grid=[1, 10], extensions=2), [5, 6, 7], 2)
    assert [one.rate for one in tried] == [1, 10, 100, 1000, 1000, 1000] and chosen == Tried(1000, 5, 0.8, 0)


def test_tuning_reads_validation_examples_alone_and_leaves_the_model(base, files, tmp_path):
    """Against stages that are learnt and tested by hand; one rate diverges."""
    start = {name: value.clone() for name, value in base.model.state_dict().items()}
    settings = tune_method.TuneSettings(
        **COMMON, method="seqft", tasks=["one", "two"], training=LOOP, further=2, examples=3,
        evaluation=Evaluation(batch_size=2),
        search=RateSearch(grid=[1e-2, 1e30], extensions=0),
    )  # fmt: skip
    given = {"data": files["data"](["two", "one"]), "validation": files["data"](["one", "two"]), "scores": []}
    out = tmp_path / "tuned.parquet"
    tune_method.main(settings, base=Path("base"), **given, checkpoints=tmp_path / "folder", tuned=out)
    assert all(torch.equal(value, start[name]) for name, value in base.model.state_dict().items())
    frame = read_frame(out, tune_method.TUNED)[0]
    assert len(frame) == 4 and frame["chosen"].sum() == 1
    assert frame.loc[frame["learning_rate"] == 1e30, "accuracy"].tolist() == [0]
    first = learn("seqft", ["one"], [], files, tmp_path)
    base.model.load_state_dict(start)
    learn("seqft", ["one", "two"], [first], files, tmp_path)  # the model holds it
    values = [np.array(right(base, read_task(files["data"]([task])[0]))[:3]) for task in ("one", "two")]
    row = frame[frame["learning_rate"] == 1e-2].iloc[0]
    assert row["accuracy"] == pytest.approx(np.mean([one.mean() for one in values]))
    assert row["standard_error"] == pytest.approx(np.sqrt(sum(one.var(ddof=1) / 3 for one in values)) / 2)
    base.model.load_state_dict(start)
    chosen = frame.loc[frame["chosen"], "learning_rate"].item()
    learn("seqft", ["one"], [], files, tmp_path, learning_rate=None, tuned=[out])
    assert read_frame(tmp_path / "seqft-one.history", "training")[0]["learning_rate"].max() == pytest.approx(chosen)


def test_no_rate_that_learns_anything_is_told(base, files, tmp_path):
    settings = tune_method.TuneSettings(
        **COMMON, method="seqft", tasks=["one", "two"], training=LOOP, further=2, examples=3,
        evaluation=Evaluation(batch_size=2),
        search=RateSearch(grid=[1e30, 1e31], extensions=0),
    )  # fmt: skip
    given = {"data": files["data"](["two", "one"]), "validation": files["data"](["one", "two"]), "scores": []}
    with pytest.raises(UserError, match="SeqFT: no configuration answers one validation example right"):
        tune_method.main(settings, base=Path("base"), **given, checkpoints=tmp_path / "f", tuned=tmp_path / "tuned")
