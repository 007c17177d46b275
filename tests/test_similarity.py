"""Parameter similarity inside models trained on one task (Figure 3), and how it goes with generalisation (Table 4)."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from conftest import ROOT, TRAINING, KilledError, killed_at, loaded_of, task_file
from taskneurons.config.settings import DeviceSettings, Evaluation
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.errors import UserError
from taskneurons.core.named import named
from taskneurons.data.task import read_task
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.evaluation.prediction import predict
from taskneurons.generalisation import similarity, tested_models
from taskneurons.models.loaded import read_model_provenance
from taskneurons.neurons.blocks import family_of, layers, widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.matrices import matrices
from taskneurons.neurons.neuron_set import NeuronSet, top_share
from taskneurons.report.contents import TABLES
from taskneurons.report.findings.listed import findings
from taskneurons.tables import correlations
from taskneurons.tables.common import TableSettings
from taskneurons.training import multitask, single_task
from taskneurons.training.checkpoint import Checkpoint

# ---- the step ----


def by_hand(weights, biases=()):
    """A layer of matrices whose weights are (neurons, entries), the last one the reader."""
    made = []
    for number, (name, weight) in enumerate(weights.items()):
        reads = number == len(weights) - 1
        module = torch.nn.Module()
        values = torch.tensor(weight, dtype=torch.float32)
        module.weight = torch.nn.Parameter(values.T if reads else values)
        if name in biases:
            module.bias = torch.nn.Parameter(torch.tensor(biases[name], dtype=torch.float32))
        made.append(similarity.Matrix(f"layers.0.mlp.{name}", module, reads, 1 if reads else 0))
    return made


def frame_of(layers, one, other, draws=0):
    """The similarities of two sets, one list of flags a layer each, by layer, matrix and method."""
    sizes = tuple(len(flags) for flags in one)
    sets = {task: NeuronSet(np.concatenate(flags).astype(bool), sizes) for task, flags in (("a", one), ("b", other))}
    return similarity.similarity_frame(layers, sets, [("a", "b")], draws, seed=0)


def own_values(frame):
    own = frame[frame["draw"] == similarity.OWN]
    return own.set_index(["layer", "matrix", "method"])["value"].to_dict()


def test_two_layers_by_hand():
    """Four neurons a layer; in the first N_a = {0, 1}, N_b = {1, 2}, in the second N_b is empty.

    up: means (½, ½) and (½, 1½): cosine 1 / √(0.5 · 2.5); apart (1, 0) and (1, 2): 1 / √5; filled: neuron 1 alone is
    shared, |v|² are 1, 1, 5. down: one entry a neuron, 1, 2, −1: means 1.5 and 0.5; apart 1 and −1.
    """
    first = {"up": [[1, 0], [0, 1], [1, 2], [9, 9]], "down": [[1], [2], [-1], [9]]}
    second = {"up": [[1, 0]] * 4, "down": [[1]] * 4}
    frame = frame_of([by_hand(first), by_hand(second)], [[1, 1, 0, 0], [1, 0, 0, 0]], [[0, 1, 1, 0], [0, 0, 0, 0]])
    found = own_values(frame)
    expected = {
        ("up", "mean-vector"): 1 / np.sqrt(0.5 * 2.5),
        ("down", "mean-vector"): 1,
        ("together", "mean-vector"): (1 + 0.75) / np.sqrt((0.5 + 2.25) * (2.5 + 0.25)),
        ("up", "zero-filled"): 1 / np.sqrt(2 * 6),
        ("down", "zero-filled"): 4 / np.sqrt(5 * 5),
        ("together", "zero-filled"): (1 + 4) / np.sqrt((2 + 5) * (6 + 5)),
        ("up", "mean-vector-without-shared"): 1 / np.sqrt(5),
        ("down", "mean-vector-without-shared"): -1,
        ("together", "mean-vector-without-shared"): (1 - 1) / np.sqrt((1 + 1) * (5 + 1)),
    }
    assert {key[1:]: value for key, value in found.items() if key[0] == 0} == pytest.approx(expected)
    assert all(np.isnan(value) for key, value in found.items() if key[0] == 1)
    sizes = frame.groupby("layer")[["n_train", "n_test", "n_shared"]].first()
    assert sizes.to_numpy().tolist() == [[2, 2, 1], [1, 0, 0]]


def test_biases_of_writers_count_in_together_alone():
    weights = {"up": [[1.0, 0.0], [0.0, 1.0]], "down": [[1.0], [1.0]]}
    sets = [[1, 0]], [[0, 1]]
    without = own_values(frame_of([by_hand(weights)], *sets))
    with_bias = own_values(frame_of([by_hand(weights, {"up": [2.0, 3.0], "down": [7.0]})], *sets))
    assert with_bias[0, "up", "mean-vector"] == without[0, "up", "mean-vector"] == 0
    assert without[0, "together", "mean-vector"] == pytest.approx(1 / 2)
    assert with_bias[0, "together", "mean-vector"] == pytest.approx((0 + 1 + 6) / np.sqrt((1 + 1 + 4) * (1 + 1 + 9)))
    assert {matrix for _, matrix, _ in with_bias} == {"up", "down", "together"}


def cosine(one, other):
    return one @ other / np.sqrt((one @ one) * (other @ other))


def neuron_entries(model, layer, neuron):
    """Matrix → a neuron's own entries in float64, taken by hand from the family's table; with its biases in "bias"."""
    where, module = family_of(model), layers(model)[layer]
    width = widths(model)[layer]
    found, biases = {}, []
    for path in (*where.writers, where.reader):
        linear = module.get_submodule(path)
        weight = linear.weight.detach().double().numpy()
        weight = weight.T if where.transposed else weight  # (outputs, inputs)
        if path == where.reader:
            found[path.rpartition(".")[2]] = weight[:, neuron]
            continue
        rows = range(neuron, len(weight), width)  # two where gate and up are in one
        found[path.rpartition(".")[2]] = np.concatenate([weight[row] for row in rows])
        if getattr(linear, "bias", None) is not None:
            biases += [linear.bias.detach().double().numpy()[row] for row in rows]
    return {**found, "bias": np.array(biases)}


def test_every_family_against_brute_force(model):
    """Random sets that share some neurons; every matrix, and all together, neuron by neuron in float64."""
    torch.manual_seed(1)
    for parameter in model.parameters():  # biases of new models are zero
        torch.nn.init.normal_(parameter)
    rng = np.random.default_rng(0)
    sets = [[rng.permutation(width) < width // 3 for width in widths(model)] for _ in range(2)]
    found = own_values(frame_of(matrices(model), *sets))
    for layer, pair in enumerate(zip(*sets, strict=True)):
        one, other = (set(np.flatnonzero(flags)) for flags in pair)
        assert one & other and one - other and other - one
        entries = [neuron_entries(model, layer, neuron) for neuron in range(widths(model)[layer])]
        expected = {}
        for matrix in [*(name for name in entries[0] if name != "bias"), "together"]:
            vectors = [np.concatenate(list(one.values())) if matrix == "together" else one[matrix] for one in entries]
            width = len(vectors[0])

            def mean(neurons, vectors=vectors):
                return np.mean([vectors[neuron] for neuron in neurons], axis=0)

            def filled(neurons, vectors=vectors, width=width):
                return np.concatenate(
                    [vector if neuron in neurons else np.zeros(width) for neuron, vector in enumerate(vectors)]
                )

            expected[layer, matrix, "mean-vector"] = cosine(mean(one), mean(other))
            expected[layer, matrix, "zero-filled"] = cosine(filled(one), filled(other))
            expected[layer, matrix, "mean-vector-without-shared"] = cosine(mean(one - other), mean(other - one))
        assert {key: value for key, value in found.items() if key[0] == layer} == pytest.approx(expected, abs=1e-5)


def test_random_sets_of_independent_vectors():
    """Vectors μ + noise: two disjoint means have a known cosine, and independent sets share a known number of neurons.

    With |μ|² = m, n neurons, D entries of variance 1 and sets of a and b neurons the mean product is
    m + D · shared / (a · b), shared = a · b / n on average; the squared lengths are m + D / a and m + D / b.
    """
    n, entries, a, b, draws = 60, 400, 12, 20, 200
    rng = np.random.default_rng(0)
    up = rng.normal(size=(n, entries)) + 0.3
    frame = frame_of([by_hand({"up": up, "down": np.ones((n, 1))})], [np.arange(n) < a], [np.arange(n) >= n - b], draws)
    null = frame[(frame["matrix"] == "up") & (frame["draw"] >= 0)].groupby("method")["value"].agg(["mean", "size"])
    assert (null["size"] == draws).all()
    m, scale = 0.09 * entries, np.sqrt((0.09 * entries + entries / a) * (0.09 * entries + entries / b))
    assert null.loc["mean-vector-without-shared", "mean"] == pytest.approx(m / scale, abs=0.02)
    assert null.loc["mean-vector", "mean"] == pytest.approx((m + entries / n) / scale, abs=0.02)
    assert null.loc["zero-filled", "mean"] == pytest.approx((a * b / n) / np.sqrt(a * b), abs=0.03)
    own = own_values(frame)
    assert own[0, "up", "zero-filled"] == 0  # the tasks' own sets share nothing
    assert own[0, "up", "mean-vector"] == own[0, "up", "mean-vector-without-shared"]


@pytest.mark.parametrize("disjoint", [False, True])
def test_random_pairs(disjoint):
    """Sets of the sizes asked for, every neuron as often as any other, and the overlap that chance gives them."""
    one, other = similarity.random_pairs(10, (3, 5), 4000, np.random.default_rng(0), disjoint)
    assert (one.sum(axis=1) == 3).all() and (other.sum(axis=1) == 5).all()
    np.testing.assert_allclose(one.mean(axis=0), 0.3, atol=0.04)
    np.testing.assert_allclose(other.mean(axis=0), 0.5, atol=0.04)
    assert (one & other).sum(axis=1).mean() == pytest.approx(0 if disjoint else 1.5, abs=0.06)


def score_files(folder, model, identity, tasks):
    """Scores of tasks by a model, random ones."""
    files, sizes = [], widths(model)
    for number, task in enumerate(tasks):
        index = neuron_index(sizes, [None] * len(sizes))
        values = np.random.default_rng(number).random(len(index))
        files.append(folder / f"{task}.parquet")
        made = {"task": task, "model": identity, "widths": sizes}
        write_frame(files[-1], index.assign(score=values, n_samples=1), "scores", made)
    return files


def settings_of(first, second, **others):
    chosen = {"k": 20.0, "scope": "global", "draws": 0, "seed": 0, **others}
    return similarity.SimilaritySettings(first=first, second=second, compute=DeviceSettings(), **chosen)


def test_the_step_compares_each_of_the_first_with_each_of_the_second(tmp_path, monkeypatch):
    base = loaded_of("llama")
    monkeypatch.setattr(similarity, "load_model", lambda path, settings: base)
    scores = score_files(tmp_path, base.model, base.identity, "abc")
    run = partial(similarity.main, model=Path("base"), scores=scores, similarity=tmp_path / "out.parquet")
    run(settings_of(["a", "b"], ["a", "b", "c"]))
    frame, made = read_frame(tmp_path / "out.parquet", "similarity")
    pairs = frame[["train_task", "test_task"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["a", "b"], ["a", "c"], ["b", "a"], ["b", "c"]]
    assert set(frame["draw"]) == {similarity.OWN} and made["model"] == base.identity
    assert len(frame) == 4 * 3 * 4 * 3  # pairs, layers, gate, up, down and together, methods
    tops = [top_share(read_frame(path, "scores")[0]["score"].to_numpy(), 20, (24,) * 3) for path in scores[:2]]
    one = frame[(frame["train_task"] == "a") & (frame["test_task"] == "b")].groupby("layer").first()
    assert one["n_train"].tolist() == tops[0].counts() and one["n_test"].tolist() == tops[1].counts()
    assert one["n_shared"].tolist() == tops[0].intersection(tops[1]).counts()
    run(settings_of(["a"], ["b"], draws=3))
    drawn = read_frame(tmp_path / "out.parquet", "similarity")[0]
    assert drawn["draw"].tolist() == [-1, 0, 1, 2] * 36
    whole = frame[(frame["train_task"] == "a") & (frame["test_task"] == "b")]
    # draws change nothing about the tasks' own sets, whatever else is compared
    np.testing.assert_allclose(drawn.loc[drawn["draw"] == -1, "value"], whole["value"], atol=1e-5)
    assert drawn.loc[drawn["draw"] >= 0, "value"].nunique() > 36
    run(settings_of(["a"], ["b"], draws=3, seed=1))
    other = read_frame(tmp_path / "out.parquet", "similarity")[0]
    of_means = (other["draw"] >= 0) & (other["method"] == "mean-vector")
    assert (other["value"] != drawn["value"])[of_means].all()
    with pytest.raises(UserError, match="of the task 'd'"):
        run(settings_of(["a"], ["d"]))
    with pytest.raises(UserError, match="selected on model another"):
        similarity.main(
            settings_of(["a"], ["b"]),
            model=Path("base"),
            scores=score_files(tmp_path, base.model, "another", "ab"),
            similarity=tmp_path / "out.parquet",
        )


# ---- models trained on one task, and how far they generalise ----


def test_single_task_training_goes_on(tmp_path, monkeypatch):
    """4 steps on one task; the job dies before the third and goes on to the same bits, which are the multi-task
    training's of that task alone. A checkpoint of another task is not taken up."""
    monkeypatch.setattr(multitask, "load_model", lambda path, settings: loaded_of("llama"))
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)
    for task in ("one", "two"):
        task_file(tmp_path / f"{task}.parquet", task)
    settings = multitask.FineTuningSettings(training=TRAINING, seed=0, compute=DeviceSettings())

    def run(name, task="one"):
        files = {"validation": [tmp_path / f"{task}.parquet"], "metrics": tmp_path / f"{name}.metrics.parquet"}
        files |= {"checkpoint": tmp_path / "kept.safetensors", "model": tmp_path / name, "base": Path("base")}
        single_task.main(settings, data=tmp_path / f"{task}.parquet", **files)
        return len(read_frame(files["metrics"], "training")[0]), read_model_provenance(tmp_path / name)

    def die(task):
        with monkeypatch.context() as patch, pytest.raises(KilledError):
            killed_at(2, patch)
            run("killed", task)

    steps, whole = run("whole")
    die("one")
    with monkeypatch.context() as patch:
        killed_at(2, patch)  # two steps are left
        assert run("killed")[1]["identity"] == whole["identity"]
    assert not (tmp_path / "kept.safetensors").exists()
    die("two")
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(2, patch)
        run("killed")
    assert (steps, whole["state"], list(whole["data"])) == (4, "single-task", ["one"])
    multitask.main(
        multitask.MultitaskSettings(training=TRAINING, tasks=["one"], seed=0, compute=DeviceSettings()),
        base=Path("base"),
        data=[tmp_path / "one.parquet"],
        validation=[tmp_path / "one.parquet"],
        checkpoint=tmp_path / "other.safetensors",
        metrics=tmp_path / "metrics.parquet",
        model=tmp_path / "multitask",
    )
    both = read_model_provenance(tmp_path / "multitask")
    assert both["identity"] == whole["identity"] and both["state"] == "multitask"


def test_a_model_is_tested_on_every_task(tmp_path, monkeypatch):
    """Losses on the first 3 examples of both tasks, scores on the first 2 of one."""
    loaded = loaded_of("llama")
    loaded.provenance.update(data={"one": "words"}, seed=5)
    monkeypatch.setattr(tested_models, "load_model", lambda path, settings: loaded)
    data = [task_file(tmp_path / f"{task}.parquet", task) for task in ("one", "two")]
    settings = tested_models.MeasuringSettings(
        examples=3,
        scored=["two"],
        scored_examples=2,
        evaluation=Evaluation(),
        batch_tokens=1000,
        compute=DeviceSettings(),
    )
    out = tmp_path / "tested.parquet"
    tested_models.main(settings, model=Path("model"), data=data, tested=out)
    frame, made = read_frame(out, "tested model")
    assert (made["trained_on"], made["seed"]) == (["one"], 5)
    named = frame.groupby(["task", "measure"], sort=False)["id"].apply(list).to_dict()
    assert named == {("one", "loss"): [0, 1, 2], ("two", "loss"): [0, 1, 2], ("two", "score"): [0, 1]}
    task = read_task(data[1])
    examples = task.encoded(loaded.tokenizer)
    passes = SimpleNamespace(batch_size=4, batch_tokens=1000)
    losses = target_losses(loaded, [one.pair for one in examples], passes, "two")[:3]
    values = frame[frame["task"] == "two"].groupby("measure")["value"].apply(list)
    assert values["loss"] == pytest.approx(losses)
    assert values["score"] == predict(loaded, task, examples, Evaluation())[1][:2]
    nothing = settings.model_copy(update={"scored_examples": 0})
    tested_models.main(nothing, model=Path("model"), data=data, tested=out)
    assert set(read_frame(out, "tested model")[0]["measure"]) == {"loss"}


# ---- statistics ----


@pytest.mark.parametrize("n", [4, 6, 9])
@pytest.mark.parametrize("ties", [False, True])
def test_correlations_against_scipy(n, ties):
    rng = np.random.default_rng(n)
    one, other = rng.normal(size=(2, 5, n))
    if ties:
        one, other = one.round(), other.round(0)
    for statistic, reference in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        found = correlations.correlation(one, other, statistic)
        for row in range(5):
            if np.ptp(one[row]) and np.ptp(other[row]):
                expected = reference(one[row], other[row])
                assert found[row] == pytest.approx(expected.statistic)
                p = correlations.p_value(one[row], other[row], statistic)
                if statistic == "spearman" and n <= correlations.ALL_ORDERS:
                    tried = stats.permutation_test(
                        (one[row],),
                        lambda drawn, row=row: stats.spearmanr(drawn, other[row]).statistic,
                        permutation_type="pairings",
                        n_resamples=np.inf,
                    )
                    # scipy doubles one side; the null of ranks with ties need not be symmetric
                    extreme = np.abs(tried.null_distribution) >= abs(expected.statistic) - 1e-9
                    assert p == pytest.approx(extreme.mean())
                else:
                    assert p == pytest.approx(expected.pvalue)
            else:
                assert np.isnan(found[row])


def test_constant_sides_have_no_correlation():
    assert np.isnan(correlations.correlation(np.ones(5), np.arange(5), "pearson"))
    assert np.isnan(correlations.p_value(np.arange(5), np.ones(5), "spearman"))


def test_what_few_models_can_show():
    """Known of six: 0.811 by Pearson (tables of the t distribution), 0.886 by Spearman (exact tables)."""
    assert correlations.needed(6, "pearson") == pytest.approx(0.8114, abs=1e-4)
    assert correlations.needed(6, "spearman") == pytest.approx(0.8857, abs=1e-4)
    assert np.isnan(correlations.needed(3, "spearman"))
    assert correlations.smallest_rank_p(6) == correlations.p_value(np.arange(6), np.arange(6), "spearman") == 2 / 720
    assert 0.81 not in correlations.rank_correlations(6).round(2) and 0.77 in correlations.rank_correlations(6).round(2)


def test_intervals_of_correlations():
    """The bootstrap covers a true correlation about as often as it says."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        one = rng.normal(size=(1, 40))
        other = 0.6 * one + 0.8 * rng.normal(size=(1, 40))
        value, low, high = correlations.mean_correlation(one, other, "pearson", 200, 90, seed=trial)
        assert low < value < high
        covered += low < 0.6 < high
    assert 80 <= covered <= 97
    same = correlations.mean_correlation(np.arange(6.0)[None], np.arange(6.0)[None], "spearman", 100, 95)
    assert same == (1, 1, 1)
    constant = correlations.mean_correlation(np.ones((1, 6)), np.arange(6.0)[None], "pearson", 100, 95)
    assert np.isnan(constant).all()
    assert np.isnan(correlations.mean_correlation(np.ones((1, 2)), np.ones((1, 2)), "pearson", 100, 95)).all()
    up, down = np.arange(6.0), -np.arange(6.0)
    assert correlations.mean_correlation(np.stack([up, up]), np.stack([up, down]), "pearson", 100, 95) == (0, 0, 0)
    with_one_constant = correlations.mean_correlation(np.stack([up, up * 0]), np.stack([up, up]), "pearson", 100, 95)
    assert with_one_constant == pytest.approx((1, 1, 1))


# ---- tables, findings and figures ----

TRAIN = {"CLS": ["a", "b"], "GEN": ["c", "d"]}
TEST = {"CLS": ["e"], "GEN": ["f", "g"]}
GROUPS = {"train": TRAIN, "test": TEST}
MODELS = [*TRAIN["CLS"], *TRAIN["GEN"]]
SHOWN = {key: {"name": key.upper(), "counterpart": None} for key in "abcdefg"}
SHOWN["e"]["counterpart"] = "SST-2"
METHODS = similarity.METHODS


def own_value(model, task, layer):
    """A similarity, the same by all methods; e is the more similar the later the model, in layer 0 the other way."""
    place = MODELS.index(model)
    return {"e": 0.1 * place * (1 if layer else -1) + 0.3, "f": 0.5, "g": 0.05 * (place - 1) ** 2}[task]


def similarity_file(folder, model, draws=9):
    """Two layers, one matrix and all together; in layer 1 the model d has no neurons of e. Random sets: 0, 0.1, … ."""
    rows = [
        {
            **{
                "train_task": model,
                "test_task": task,
                "layer": layer,
                "matrix": matrix,
                "method": method,
                "draw": draw,
            },
            "value": np.nan
            if (model, task, layer) == ("d", "e", 1)
            else own_value(model, task, layer) + (matrix == "up") * 0.01 + METHODS.index(method)
            if draw < 0
            else 0.1 * draw,
            **{"n_train": 1, "n_test": 1, "n_shared": 1},
        }
        for layer in range(2)
        for task in "efg"
        for matrix in ("up", "together")
        for method in METHODS
        for draw in range(-1, draws)
    ]
    write_frame(folder / f"similarity-{model}.parquet", pd.DataFrame(rows), "similarity", {"model": model})
    return folder / f"similarity-{model}.parquet"


def measures_file(folder, model, scored=True):
    """Two examples a measure; e's score rises with the model's place, and its loss falls; f's and g's loss is noise."""
    place = MODELS.index(model)
    values = {("e", "loss"): 3 - place, ("f", "loss"): [1, 3, 2, 5][place], ("g", "loss"): [4, 1, 3, 2][place]}
    values |= {("a", "loss"): 7}
    if scored:
        values |= {("e", "score"): place, ("f", "score"): [0, 2, 1, 2][place], ("g", "score"): 1}
    rows = [
        {"task": task, "measure": measure, "id": number, "value": value + shift}
        for (task, measure), value in values.items()
        for number, shift in enumerate((-0.5, 0.5))
    ]
    write_frame(folder / f"tested-{model}.parquet", pd.DataFrame(rows), "tested model", {"trained_on": [model]})
    return folder / f"tested-{model}.parquet"


def table_of(name, folder, models=MODELS, groups=GROUPS, scored=True):
    (declared,) = [table for table in TABLES if table.name == name]
    config = {"tables.bootstrap": 200, "tables.confidence": 80, "groups": groups}
    shown = {key: {field: task[field] for field in declared.fields} for key, task in SHOWN.items()}
    settings = TableSettings(table=name, tasks=shown, config={key: config[key] for key in declared.config})
    files = {"similarity": [similarity_file(folder, model) for model in models]}
    if "single_task_tested" in declared.inputs:
        files["single_task_tested"] = [measures_file(folder, model, scored) for model in models]
        files["published"] = ROOT / "workflow" / "published" / f"{declared.published}.csv"
    return pd.DataFrame(named("tables", name).rows(settings, **files))


def chosen(table, **key):
    for column, value in key.items():
        table = table[table[column] == value]
    return table


def test_similarity_table(tmp_path):
    table = table_of("similarity", tmp_path)
    panels = table[["test_group", "models"]].drop_duplicates().to_numpy().tolist()
    assert panels == [["CLS", "all"], ["GEN", "all"], ["CLS", "CLS"], ["GEN", "GEN"]]
    cls = chosen(table, test_group="CLS", models="all", test_task="mean", matrix="together", method="mean-vector")
    assert cls["layer"].tolist() == [0, 1] and cls["n_models"].tolist() == [4, 3] and cls["n_empty"].tolist() == [0, 1]
    # 0.3, 0.2, 0.1, 0 in layer 0; 0.3, 0.4, 0.5 in layer 1, where d has none
    assert cls["value"].tolist() == pytest.approx([0.15, 0.4])
    assert ((cls["ci_low"] < cls["value"]) & (cls["value"] < cls["ci_high"])).all()
    # random sets: 0 to 0.8 in steps of 0.1, the same in all models; 80 % lie between the second and the last but one
    assert cls["null_mean"].tolist() == pytest.approx([0.4, 0.4])
    assert cls["null_low"].tolist() == pytest.approx([0.08, 0.08])
    assert cls["null_high"].tolist() == pytest.approx([0.72, 0.72])
    gen = chosen(table, test_group="GEN", models="GEN", matrix="together", method="zero-filled")
    # f: 0.5, g: 0.05 and 0.2 of c and d; zero-filled is 1 more
    values = gen.groupby("test_task")["value"].first().to_dict()
    assert values == pytest.approx({"F": 1.5, "G": 1.125, "mean": (1.5 + 1.125) / 2})
    up = chosen(table, matrix="up", method="mean-vector")
    assert set(up["test_task"]) == {"mean"}
    assert chosen(up, test_group="CLS", models="all", layer=0)["value"].tolist() == pytest.approx([0.16])
    one = table_of("similarity", tmp_path, ["a"], {"train": {"CLS": ["a"]}, "test": {"CLS": ["e"]}})
    assert one["ci_low"].isna().all() and one["models"].unique().tolist() == ["all"]
    assert one["value"].notna().all() and one["null_high"].notna().all()


def test_similarity_correlation_table(tmp_path):
    """e's mean over layers is 0.3 for a, b and c, and 0 for d, which has layer 0 alone; its score is the model's
    place."""
    table = table_of("similarity_correlation", tmp_path)
    assert list(table.columns[:4]) == ["test_task", "statistic", "value", "p_value"]
    of_means = chosen(table, layers="mean", method="mean-vector")
    e = chosen(of_means, test_task="E", measure="score")
    expected = stats.pearsonr([0.3, 0.3, 0.3, 0], range(4))
    assert chosen(e, statistic="pearson")["value"].item() == pytest.approx(expected.statistic)
    assert chosen(e, statistic="pearson")["p_value"].item() == pytest.approx(expected.pvalue)
    assert e["paper_llama"].tolist() == [0.87, 0.81] and e["paper_p"].tolist() == [0.02, 0.05]
    assert e["n"].tolist() == [4, 4]
    loss = chosen(of_means, test_task="E", measure="loss")
    assert loss["value"].tolist() == pytest.approx(e["value"].tolist())  # the loss falls as the score rises
    assert loss["paper_llama"].isna().all()
    # f has the same similarity in all models, g the same score
    assert chosen(of_means, test_task="F")["value"].isna().all()
    assert chosen(of_means, test_task="G", measure="score")["value"].isna().all()
    g = chosen(of_means, test_task="G", measure="loss")
    similar = [own_value(model, "g", 0) for model in MODELS]
    assert chosen(g, statistic="spearman")["value"].item() == pytest.approx(
        stats.spearmanr(similar, [-4, -1, -3, -2]).statistic
    )
    mean = chosen(of_means, test_task="mean", measure="loss", test_group="GEN")
    assert mean["value"].tolist() == pytest.approx(g["value"].tolist())  # f has none
    layers = chosen(table, test_task="mean", method="mean-vector", test_group="CLS", measure="score")
    assert layers["p_value"].isna().all()
    by_layer = chosen(layers, statistic="pearson").set_index("layers")
    assert by_layer.loc[["0", "1"], "value"].tolist() == pytest.approx([-1, 1])
    assert by_layer.loc[["mean", "0", "1"], "n"].tolist() == [4, 4, 3]
    assert set(table_of("similarity_correlation", tmp_path, scored=False)["measure"]) == {"loss"}


def test_similarity_findings(tmp_path):
    tables = {name: table_of(name, tmp_path) for name in ("similarity", "similarity_correlation")}
    first, *_, of_correlations, limits = findings(tables, 80)
    assert "to CLS test tasks inside all models (4 models): 0.15 [" in first
    assert "does not show, for the highest layer is the top one" in first
    assert "above the band in no layer and below the band in no layer" in first
    assert "without the shared neurons: above the band in layers 0 to 1 and" in first
    assert "over n = 4 models" in of_correlations
    assert "pearson with the score -0.77 to -0.77" in of_correlations
    assert "is 0.083, and p < 0.05 takes |r| of 0.95 by Pearson and is out of Spearman's reach; of 12 tests" in limits
    assert "1 of 1 published rank correlations (0.81) cannot occur over the paper's 6 models" in limits
    few = findings({"similarity_correlation": table_of("similarity_correlation", tmp_path, MODELS[:2])}, 80)
    assert few == [
        "Similarity of parameters and generalisation cannot be correlated over 2 models: it takes 3 at least."
    ]
    middle = pd.DataFrame(
        {
            **{"test_group": "G", "models": "all", "test_task": "mean", "matrix": "together", "n_models": 6},
            **{"method": list(METHODS) * 3, "layer": np.repeat([0, 1, 2], 3), "value": np.repeat([0.1, 0.5, 0.2], 3)},
            **{"null_low": 0.15, "null_high": 0.3},
        }
    )
    middle = middle.assign(ci_low=middle["value"] - 0.1, ci_high=middle["value"] + 0.1)
    (told,) = findings({"similarity": middle}, 80)
    assert "shows, with intervals that do not touch. Beside" in told
    assert "above the band in layer 1 and below the band in layer 0;" in told
    (told,) = findings({"similarity": middle.assign(ci_low=0)}, 80)
    assert "shows in the values, but the intervals touch" in told


def test_similarity_figure(tmp_path):
    table = table_of("similarity", tmp_path)
    figure = named("figures", "similarity").draw(table)
    assert [axes.get_title() for axes in figure.axes] == [
        *("(a) CLS tests inside all models (4)", "(b) GEN tests inside all models (4)"),
        *("(c) CLS tests inside the models of CLS (2)", "(d) GEN tests inside the models of GEN (2)"),
    ]
    first, second, *_ = figure.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in first.lines if line.get_label()[0] != "_"}
    assert lines["mean-vector"] == pytest.approx([0.15, 0.4]) and lines["zero-filled"] == pytest.approx([1.15, 1.4])
    assert lines["E"] == pytest.approx([0.15, 0.4])
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["F", "G"]
    band = first.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.08, 0.72))
    assert len(first.collections) == 4  # the band of random sets, and an interval a method
    plt.close(figure)


def test_similarity_correlation_figure(tmp_path):
    table = table_of("similarity_correlation", tmp_path)
    figure = named("figures", "similarity_correlation").draw(table)
    assert len(figure.axes) == 2 * 2 * 2  # measures, test groups, layers and test tasks
    layers, tasks = figure.axes[:2]
    pearson = next(line for line in layers.lines if line.get_label() == "pearson")
    assert list(pearson.get_xdata()) == [0, 1] and list(pearson.get_ydata()) == pytest.approx([-1, 1])
    assert [label.get_text() for label in tasks.get_xticklabels()] == ["E", "mean of\nthe group"]
    crosses = [line.get_ydata()[0] for line in tasks.lines if line.get_marker() == "x"]
    assert crosses == [0.87, 0.81]
    assert len(figure.axes[3].collections) == 2  # an interval a statistic
    plt.close(figure)
    one = {"train": {"CLS": ["a"]}, "test": {"CLS": ["e"]}}
    alone = table_of("similarity_correlation", tmp_path, ["a"], one, scored=False)
    assert alone["value"].isna().all() and alone["n"].eq(1).all()
    plt.close(named("figures", "similarity_correlation").draw(alone))
