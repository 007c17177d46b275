"""What predicts transfer: statistics of matrices, sketches, features, task vectors, and the table of them."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from scipy import stats
from statsmodels.stats.multitest import multipletests

from conftest import TINY, loaded_of, task_file
from taskneurons.config.settings import DeviceSettings, Passes
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.data.task import read_task
from taskneurons.figures import transfer_prediction as figure
from taskneurons.generalisation import probes, sketches, task_vectors, tested_models, transfer
from taskneurons.generalisation.features import mean_features
from taskneurons.models.loaded import save_model
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.mask_file import write_mask
from taskneurons.neurons.neuron_set import NeuronSet, random_set
from taskneurons.report.findings.listed import findings
from taskneurons.tables import association, transfer_prediction
from taskneurons.tables.common import TableSettings
from taskneurons.tuning.delta import Delta, read_delta, trained_delta, with_delta, write_delta
from taskneurons.tuning.trained_neurons import trained_neurons

CPU = DeviceSettings(device="cpu", dtype="float32")
PASSES = Passes(batch_size=3, batch_tokens=1000)


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix[~np.eye(len(matrix), dtype=bool)]


def dummies(tasks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cells (row, column) of pairs of different tasks among copies, and dummies of their rows and columns."""
    n = len(tasks)
    cells = np.array([(i, j) for i in range(n) for j in range(n) if tasks[i] != tasks[j]])
    design = np.hstack([np.eye(n)[cells[:, 0]], np.eye(n)[cells[:, 1]]])
    return cells, design


def fitted_out(values: np.ndarray, design: np.ndarray) -> np.ndarray:
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


# ---- centring ----


def test_row_and_column_effects_are_taken_out_by_hand():
    # x_ij = 10 i + j, and 6 more in the cell (0, 1): of three tasks one degree of freedom is left, a cycle against the
    # other. Its share is 6 / 6 of a cell each.
    matrix = 10 * np.arange(3)[:, None] + np.arange(3.0)[None]
    matrix[0, 1] += 6
    found = association.all_pairs(3).centred(matrix)[0]
    assert found == pytest.approx(np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]))


@pytest.mark.parametrize("tasks", [range(5), [0, 1, 1, 3, 3, 3, 2], [2, 2, 0, 1, 0, 0], [0, 1, 2, 3, 3, 3]])
def test_row_and_column_effects_are_the_least_squares_fit_of_dummies(tasks):
    matrix = np.random.default_rng(0).normal(size=(5, 5))
    tasks = np.array(tasks)
    cells, design = dummies(tasks)
    expected = fitted_out(matrix[tasks[cells[:, 0]], tasks[cells[:, 1]]], design)
    found = association.pairs_of(tasks[None]).centred(matrix)[0]
    assert found[cells[:, 0], cells[:, 1]] == pytest.approx(expected, abs=1e-10)
    assert (found[tasks[:, None] == tasks[None]] == 0).all()


def test_the_diagonal_never_counts():
    one, other = np.random.default_rng(1).normal(size=(2, 6, 6))
    expected = association.association(one, other, [], 50, 95)
    np.fill_diagonal(one, np.nan)
    np.fill_diagonal(other, 1e9)
    assert association.association(one, other, [], 50, 95) == expected


# ---- the primary measure, its p and its interval ----


def centred_spearman(one: np.ndarray, other: np.ndarray, given: tuple[np.ndarray, ...] = ()) -> float:
    """The (partial) rank correlation without row and column means, by dummies and scipy."""
    cells, design = dummies(np.arange(len(one)))
    if given:
        design = np.hstack([design, np.stack([matrix[cells[:, 0], cells[:, 1]] for matrix in given], axis=1)])
    left = [fitted_out(matrix[cells[:, 0], cells[:, 1]].astype(float), design) for matrix in (one, other)]
    return stats.spearmanr(*np.round(left, 9)).statistic  # what differs by rounding alone is tied


@pytest.mark.parametrize("seed", range(3))
def test_the_correlation_and_its_p_by_all_orders(seed):
    one, other = np.random.default_rng(seed).normal(size=(2, 5, 5))
    found = association.association(one, other, [], 20, 95)
    assert found.value == pytest.approx(centred_spearman(one, other))
    permuted = [
        centred_spearman(one, other[np.ix_(order, order)]) for order in itertools.permutations(range(5))
    ]  # the first changes nothing
    assert found.p == np.mean(np.abs(permuted) >= abs(found.value) - 1e-9)


def test_the_partial_correlation_is_statsmodels_residuals():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 8, 8))
    family = (np.arange(8)[:, None] // 2 == np.arange(8)[None] // 2).astype(float)
    kind = (np.arange(8)[:, None] // 3 == np.arange(8)[None] // 3).astype(float)
    one += 2 * family + kind
    other += 2 * family
    found = association.association(one, other, [family, kind], 20, 95)
    cells, design = dummies(np.arange(8))
    design = np.hstack([design, np.stack([family, kind])[:, cells[:, 0], cells[:, 1]].T])
    design = design[:, 1:]  # whose sum is that of the others
    left = [sm.OLS(matrix[cells[:, 0], cells[:, 1]], design).fit().resid for matrix in (one, other)]
    assert found.value == pytest.approx(stats.spearmanr(*left).statistic)
    assert abs(found.value) < association.association(one, other, [], 20, 95).value  # what the families gave both


def test_p_of_a_partial_correlation_permutes_the_residuals():
    one, other, given = np.random.default_rng(3).normal(size=(3, 5, 5))
    found = association.association(one, other, [given], 20, 95)
    pairs = association.all_pairs(5)
    first, second = (association.ranked_residuals(pairs, matrix, [given])[0].reshape(5, 5) for matrix in (one, other))
    orders = [list(order) for order in itertools.permutations(range(5))]
    products = np.array([(first * second[np.ix_(order, order)]).sum() for order in orders])
    assert found.p == np.mean(np.abs(products) >= abs(products[0]) - 1e-9)


def test_the_interval_resamples_tasks():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(7, 7))
    other = one + rng.normal(size=(7, 7))
    found = association.association(one, other, [], 40, 90)
    drawn = np.random.default_rng(0).integers(7, size=(40, 7))
    values = []
    for tasks in drawn:
        if len(set(tasks)) < association.ENOUGH:
            continue
        cells, design = dummies(tasks)
        left = [
            np.round(fitted_out(matrix[tasks[cells[:, 0]], tasks[cells[:, 1]]], design), 9) for matrix in (one, other)
        ]
        values.append(stats.spearmanr(*left).statistic)
    assert (found.low, found.high) == pytest.approx(np.percentile(values, [5, 95]))
    assert len(values) > 30


def test_what_is_constant_or_additive_has_no_correlation():
    one = np.random.default_rng(0).normal(size=(6, 6))
    additive = np.arange(6.0)[:, None] / 3 + np.sqrt(np.arange(6.0))[None]
    for nothing in (np.full((6, 6), 0.3), additive):
        assert np.isnan(association.association(one, nothing, [], 20, 95).value)
        assert np.isnan(association.association(nothing, one, [], 20, 95).p)
    assert np.isnan(association.raw_correlation(one, np.full((6, 6), 0.3)))
    # Nor what the dummies explain wholly.
    dummy = (np.arange(6)[:, None] // 2 == np.arange(6)[None] // 2).astype(float)
    assert np.isnan(association.association(one, additive + 3 * dummy, [dummy], 20, 95).value)
    # A dummy that is the same everywhere takes nothing out.
    other = np.random.default_rng(1).normal(size=(6, 6))
    plain, given = (association.association(one, other, list_, 20, 95) for list_ in ([], [np.ones((6, 6))]))
    assert given == plain


def test_fewer_than_four_tasks_have_no_correlation():
    one, other = np.random.default_rng(0).normal(size=(2, 3, 3))
    assert association.association(one, other, [], 20, 95) is association.NONE
    assert association.raw_correlation(one, other) == pytest.approx(
        stats.spearmanr(off_diagonal(one), off_diagonal(other)).statistic
    )


def test_under_no_association_p_is_uniform_though_rows_and_columns_have_effects():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(150):
        one, other = rng.normal(size=(2, 6, 6)) + 3 * rng.normal(size=(2, 6, 1)) + 3 * rng.normal(size=(2, 1, 6))
        found.append(association.association(one, other, [], 1, 95).p)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) < 0.05) < 0.11


def test_a_planted_association_is_found_behind_row_and_column_effects():
    rng = np.random.default_rng(0)
    planted = rng.normal(size=(10, 10))
    one, other = (
        planted + 0.3 * rng.normal(size=(10, 10)) + 5 * rng.normal(size=(10, 1)) + 5 * rng.normal(size=(1, 10))
        for _ in range(2)
    )
    found = association.association(one, other, [], 100, 95)
    assert found.value > 0.8 and found.p < 0.001 and found.low > 0.5
    assert abs(association.raw_correlation(one, other)) < 0.5


def test_intervals_hold_the_true_value_at_least_as_often_as_they_say():
    rng = np.random.default_rng(0)
    true = 6 / np.pi * np.arcsin(0.5 / 2)  # Spearman's of normal values whose correlation is 0.5
    held = []
    for _ in range(30):
        one = rng.normal(size=(10, 10))
        found = association.association(one, 0.5 * one + np.sqrt(0.75) * rng.normal(size=(10, 10)), [], 100, 95)
        held.append(found.low <= true <= found.high)
    assert np.mean(held) > 0.93


def test_tasks_with_missing_pairs_are_left_out():
    whole = np.ones((5, 5))
    np.fill_diagonal(whole, np.nan)
    part = whole.copy()
    part[3, :] = part[:, 3] = np.nan
    sources_missing = whole.copy()
    sources_missing[1, :] = np.nan
    assert association.complete(whole, part).tolist() == [0, 1, 2, 4]
    assert association.complete(part, sources_missing).tolist() == [0, 2, 4]


def test_holm_is_statsmodels():
    p = np.array([0.04, 0.001, 0.5, 0.03, 0.011])
    expected = multipletests(p, method="holm")[1]
    assert association.holm(p) == pytest.approx(expected)
    with_nan = association.holm(np.insert(p, 2, np.nan))
    assert np.isnan(with_nan[2]) and np.delete(with_nan, 2) == pytest.approx(expected)


# ---- predictors ----


def test_linear_cka_is_the_normalised_hsic():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 4)) + 7, rng.normal(size=(9, 6))
    y[:, :2] += x[:, :2]

    def hsic(one: np.ndarray, other: np.ndarray) -> float:
        centring = np.eye(9) - 1 / 9
        return np.trace(one @ one.T @ centring @ other @ other.T @ centring)

    expected = hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))
    assert transfer_prediction.linear_cka(x, y) == pytest.approx(expected)
    turned = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert transfer_prediction.linear_cka(x, 3 * x @ turned + 5) == pytest.approx(1)
    assert np.isnan(transfer_prediction.linear_cka(x, np.ones((9, 2))))


def test_overlap_is_less_chance():
    def chosen(*positions: int) -> NeuronSet:
        selected = np.zeros(10, dtype=bool)
        selected[list(positions)] = True
        return NeuronSet(selected, (5, 5))

    # one of three in common; 2 and 2 of 10: 0.04 / 0.36
    assert transfer_prediction.above_chance(chosen(1, 2), chosen(2, 3)) == pytest.approx(1 / 3 - 1 / 9)


# ---- sketches ----


def test_sketches_keep_inner_products_on_average_and_within_their_error():
    rng = torch.Generator().manual_seed(0)
    one = torch.randn(5000, generator=rng, dtype=torch.float64)
    other = 0.5 * one + torch.randn(5000, generator=rng, dtype=torch.float64)
    width, exact = 256, float(one @ other)
    lengths = float(one.norm() * other.norm())
    found = np.array(
        [
            float(sketches.sketch(one, f"{name}", width) @ sketches.sketch(other, f"{name}", width))
            for name in range(400)
        ]
    )
    error = np.sqrt(2 / width) * lengths
    assert found.std() < error and found.std() > error / 3
    assert abs(found.mean() - exact) < 4 * error / np.sqrt(400)


def test_each_entry_has_one_bucket_and_one_sign():
    buckets = torch.stack([sketches.sketch(row, "name", 8) for row in torch.eye(30)])
    assert (buckets.abs().sum(dim=1) == 1).all() and set(buckets.flatten().tolist()) == {-1.0, 0.0, 1.0}
    values = torch.arange(30.0)
    assert sketches.sketch(values.reshape(5, 6), "name", 8) == pytest.approx((values @ buckets).numpy())
    # The entries of a block have a bucket each.
    assert len(set(buckets[:8].abs().argmax(dim=1).tolist())) == 8
    assert not torch.equal(sketches.sketch(values, "other", 8), sketches.sketch(values, "name", 8))


@pytest.mark.parametrize("family", ["llama", "gpt2"])  # apart and tied embeddings
def test_sketched_gradients_have_the_cosines_of_the_gradients(family):
    loaded = loaded_of(family)
    model = loaded.model.double()
    exact, sketched = [], []
    for start in (3, 5, 9):
        batch = collate([(list(range(start, start + 6)), [4, start, 7])], torch.device("cpu"))
        gradients = torch.autograd.grad(sample_losses(model, batch).sum(), list(model.parameters()))
        whole = torch.cat([gradient.flatten() for gradient in gradients])
        exact.append((whole, whole.square()))
        sketched.append(probes.gradient_sketches(model, batch, scale=4.0))
        assert all(parameter.grad is None for parameter in model.parameters())
    for one, other in itertools.combinations(range(3), 2):
        for kind in range(2):
            pair = exact[one][kind], exact[other][kind]
            error = 4 * np.sqrt(2 / sketches.WIDTH)
            cosine = transfer_prediction.cosine(sketched[one][kind].numpy(), sketched[other][kind].numpy())
            assert cosine == pytest.approx(float(torch.cosine_similarity(*pair, dim=0)), abs=error)
            assert float(sketched[one][kind].norm() / pair[0].norm()) == pytest.approx(1, abs=error)


def test_means_are_of_single_examples():
    loaded = loaded_of("llama")
    pairs = [([3, 4, 5], [6]), ([7, 8], [9, 10]), ([5], [11])]
    gradient, fisher = probes.mean_sketches(loaded, pairs, "gradients")
    alone = [probes.gradient_sketches(loaded.model, collate([pair], torch.device("cpu"))).numpy() for pair in pairs]
    assert gradient == pytest.approx(np.mean(alone, axis=0)[0])
    assert fisher == pytest.approx(np.mean(alone, axis=0)[1])


# ---- features ----


@pytest.mark.parametrize("family", list(TINY))
def test_features_are_the_mean_states_of_an_examples_own_tokens(family):
    loaded = loaded_of(family)
    pairs = [([3, 4, 5], [6]), ([7, 8, 9, 10, 11], [9, 10]), ([5], [11])]  # of other lengths: padded
    found = mean_features(loaded, pairs, PASSES)
    for values, (prompt, target) in zip(found, pairs, strict=True):
        with torch.no_grad():
            states = loaded.model(input_ids=torch.tensor([prompt + target]), output_hidden_states=True).hidden_states
        assert values.numpy() == pytest.approx(states[-1][0].mean(dim=0).numpy(), abs=1e-5)


# ---- task vectors ----


def delta_of(family: str, seed: int, task: str) -> Delta:
    """A delta of some neurons of a family's tiny model, each of whose entries was changed at random."""
    loaded = loaded_of(family)
    generator = torch.Generator().manual_seed(seed)
    with trained_neurons(loaded.model, random_set(20, widths(loaded.model), seed)) as trained:
        for part in trained.parameters():
            part.data += torch.randn(part.shape, generator=generator)
        trained.write_back()
        return trained_delta(loaded, trained, {"task": task, "seed": 0, "k": 10.0})


def dense_change(family: str, delta: Delta) -> torch.Tensor:
    """All that a delta changes, as one vector."""
    loaded = loaded_of(family)
    before = torch.cat([one.detach().flatten() for one in loaded.model.parameters()])
    with with_delta(loaded, delta):
        return torch.cat([one.detach().flatten() for one in loaded.model.parameters()]) - before


def owned_entries(family: str, neurons: NeuronSet) -> torch.Tensor:
    """Which of a model's parameters' entries are the neurons' own, as one vector."""
    loaded = loaded_of(family)
    for parameter in loaded.model.parameters():
        parameter.data.zero_()
    with trained_neurons(loaded.model, neurons) as trained:
        for part in trained.parameters():
            part.data += 1
        trained.write_back()
    return torch.cat([one.detach().flatten() for one in loaded.model.parameters()]) > 0


@pytest.mark.parametrize(
    "family", ["llama", "gpt2", "phi3"]
)  # plain, transposed with biases, gate and up in one matrix
def test_task_vectors_are_the_cosines_of_dense_changes(family, tmp_path):
    tasks = ["one", "two", "three"]
    deltas = [delta_of(family, seed, task) for seed, task in enumerate(tasks)]
    paths = [tmp_path / f"{task}.safetensors" for task in tasks]
    for path, delta in zip(paths, deltas, strict=True):
        write_delta(path, delta)
    base = loaded_of(family)
    save_model(tmp_path / "base", base.model, base.tokenizer, {"state": "base"})
    whole = []
    for number, task in enumerate(tasks[:2]):
        other, generator = loaded_of(family), torch.Generator().manual_seed(number)
        common = torch.Generator().manual_seed(9)
        for parameter in other.model.parameters():
            noise = torch.randn(parameter.shape, generator=generator) + torch.randn(parameter.shape, generator=common)
            parameter.data += 0.1 * noise
        save_model(tmp_path / task, other.model, other.tokenizer, {"state": "single-task"})
        pairs = zip(other.model.parameters(), base.model.parameters(), strict=True)
        whole.append(torch.cat([(one - two).detach().flatten() for one, two in pairs]))
    settings = task_vectors.TaskVectorsSettings(tasks=tasks, trained=tasks[:2], compute=CPU)
    files = {"base": tmp_path / "base", "models": [tmp_path / task for task in tasks[:2]]}
    task_vectors.main(settings, **files, deltas=paths, task_vectors=tmp_path / "vectors.parquet")
    found = read_frame(tmp_path / "vectors.parquet", "task vectors")[0].set_index(["kind", "first", "second"])["value"]
    dense = [dense_change(family, delta) for delta in deltas]
    for (number, one), (place, other) in itertools.product(enumerate(tasks), repeat=2):
        expected = float(torch.cosine_similarity(dense[number], dense[place], dim=0))
        assert found["neuron-tuning", one, other] == pytest.approx(expected, abs=1e-5)
    expected = float(torch.cosine_similarity(*whole, dim=0))
    assert found["whole-model", "one", "two"] == pytest.approx(expected, abs=1e-4)
    owned = owned_entries(family, deltas[0].neurons.union(deltas[1].neurons))
    expected = float(torch.cosine_similarity(*(one * owned for one in whole), dim=0))
    assert found["neuron-slices", "one", "two"] == pytest.approx(expected, abs=1e-4)
    assert found["neuron-slices", "two", "one"] == pytest.approx(expected, abs=1e-4)
    wrong = settings.model_copy(update={"tasks": ["two", "one", "three"]})
    with pytest.raises(UserError, match="is of one and model"):
        task_vectors.main(wrong, **files, deltas=paths, task_vectors=tmp_path / "wrong.parquet")


# ---- the steps, the table, the figure and the finding ----

TASKS = {
    f"task{number}": {"name": f"Task{number}", "family": "ab"[number // 2 % 2], "metric": "accuracy"}
    for number in range(5)
}


def data_file(path: Path, task: str) -> Path:
    """A split of a task of four examples of its own."""
    frame, made = read_frame(task_file(path, task), "task data")
    extra = task[-1:] if task[-1:].isdigit() else "0"
    frame["prompt"] = [f"{prompt} {'a dog ' * int(extra)}review" for prompt in frame["prompt"]]
    frame["target"] = np.roll(frame["target"], int(extra))
    write_frame(path, frame, "task data", made)
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """All that the table is made of, by the steps themselves where they are small, of five tasks."""
    folder = tmp_path_factory.mktemp("transfer")
    base = loaded_of("llama")
    save_model(folder / "base", base.model, base.tokenizer, {"state": "base"})
    data = {task: data_file(folder / f"{task}.parquet", task) for task in TASKS}
    settings = transfer.TransferSettings(examples=3, probes=2, passes=PASSES, compute=CPU)
    files = {"base": folder / "base", "data": list(data.values()), "probes": list(data.values())}
    before = tested_models.tested_frame(base, [read_task(path) for path in data.values()], 3, PASSES)
    write_frame(folder / "base.parquet", before, "tested model", {"trained_on": ["task0", "task1"]})
    found = {"base_tested": [folder / "base.parquet"], "tuned_tested": [], "tuned_features": [], "task_probes": []}
    deltas = []
    rng = np.random.default_rng(0)
    for number, task in enumerate(TASKS):
        made = {kind: folder / kind / f"{task}.parquet" for kind in ("losses", "features", "probes", "mask", "scores")}
        deltas.append(folder / f"{task}.safetensors")
        write_delta(deltas[-1], delta_of("llama", number, task))
        transfer.main(settings, **files, delta=deltas[-1], tested=made["losses"], features=made["features"])
        settings_of_probes = probes.ProbeSettings(examples=number + 1, passes=PASSES, compute=CPU)
        probes.main(settings_of_probes, model=folder / "base", data=data[task], probes=made["probes"])
        neurons = random_set(20, widths(base.model), number)
        write_mask(made["mask"], neurons, [None] * 3, None, {"set": task, "model": base.identity})
        for condition_of, path in ((["none"], folder / "before"), ([*TASKS, "own-tuned"], folder / "after")):
            scores = pd.concat(
                [
                    pd.DataFrame({"condition": name, "id": range(6), "score": rng.random(6)})
                    for name in condition_of
                    if name != task
                ]
            )
            write_frame(path / f"{task}.parquet", scores, "predictions", {"task": task, "n_test": 6})
        found["tuned_tested"].append(made["losses"])
        found["tuned_features"].append(made["features"])
        found["task_probes"].append(made["probes"])
        found.setdefault("base_masks", []).append(made["mask"])
        found.setdefault("base_predictions", []).append(folder / "before" / f"{task}.parquet")
        found.setdefault("first_tuned_predictions", []).append(folder / "after" / f"{task}.parquet")
    vectors = task_vectors.TaskVectorsSettings(tasks=list(TASKS), trained=[], compute=CPU)
    vectors_file = folder / "vectors.parquet"
    task_vectors.main(vectors, base=folder / "base", deltas=deltas, models=[], task_vectors=vectors_file)
    similarity = pd.DataFrame(
        [
            {"train_task": one, "test_task": other, "layer": layer, "matrix": matrix, "method": method, "draw": draw}
            | {"value": rng.random()}
            for one, other in itertools.permutations(TASKS, 2)
            for layer, matrix, method, draw in itertools.product(
                range(2), ("together", "up_proj"), ("mean-vector", "zero-filled"), (-1, 0)
            )
        ]
    )
    write_frame(folder / "similarity.parquet", similarity, "similarity", {})
    found |= {"task_vectors": [vectors_file], "base_similarity": [folder / "similarity.parquet"], "whole_tested": []}
    return found, deltas, data


def table_settings(tasks: dict = TASKS) -> TableSettings:
    config = {"tables.bootstrap": 30, "tables.confidence": 95, "selection.k": 10, "selection.scope": "global"}
    config["evaluation.cross_task_examples"] = 4
    return TableSettings(table="transfer_prediction", tasks=tasks, config=config)


def test_losses_and_features_are_those_of_the_model_with_the_delta(inputs):
    found, deltas, data = inputs
    loaded = loaded_of("llama")
    pairs = [[example.pair for example in read_task(path).encoded(loaded.tokenizer)] for path in data.values()]
    for path, features, delta in zip(found["tuned_tested"], found["tuned_features"], deltas, strict=True):
        with with_delta(loaded, read_delta(delta)), torch.no_grad():
            batch = collate([pair for examples in pairs for pair in examples[:3]], torch.device("cpu"))
            expected = sample_losses(loaded.model, batch).numpy()
            expected_features = mean_features(loaded, [pair for examples in pairs for pair in examples[:2]], PASSES)
        frame, made = read_frame(path, "tested model")
        assert made["state"] == "neuron-tuned" and made["trained_on"] == [read_delta(delta).provenance["task"]]
        assert frame["task"].tolist() == [task for task in TASKS for _ in range(3)]
        assert frame["value"].to_numpy() == pytest.approx(expected, abs=1e-5)
        entries = read_frame(features, "features")[0].filter(like="feature_").to_numpy()
        assert entries == pytest.approx(expected_features.numpy(), abs=1e-5)


def test_the_table_has_every_predictor_and_the_values_of_its_files(inputs):
    found, _, _ = inputs
    table = pd.DataFrame(transfer_prediction.rows(table_settings(), **found))
    expected = [one for one in transfer_prediction.COSTS if one not in transfer_prediction.OF_SOME_TASKS]
    assert table["predictor"].tolist() == expected * 2
    assert table["n_tasks"].unique().tolist() == [5] and table["n_pairs"].unique().tolist() == [20]
    assert (table["status"] == np.where(table["measure"] == "loss", "primary", "exploratory")).all()
    of_losses = table[table["measure"] == "loss"].set_index("predictor")
    # Losses: the fall of the target's mean, by the source.
    means = [
        read_frame(path, "tested model")[0].groupby("task")["value"].mean()
        for path in (*found["base_tested"], *found["tuned_tested"])
    ]
    fall = np.array([[(means[0] - after)[task] for task in TASKS] for after in means[1:]])
    sets = [frame_set for frame_set, _ in map(transfer_prediction.read_mask, found["base_masks"])]
    overlap = np.array([[one.jaccard(other) for other in sets] for one in sets])  # all of one size: chance is the same
    assert of_losses.loc["neuron-overlap", "spearman"] == pytest.approx(centred_spearman(fall, overlap))
    assert of_losses.loc["neuron-overlap", "raw"] == pytest.approx(
        stats.spearmanr(off_diagonal(fall), off_diagonal(overlap)).statistic
    )
    similarity = read_frame(found["base_similarity"][0], "similarity")[0]
    chosen = similarity.query("matrix == 'together' and method == 'mean-vector' and draw == -1")
    means_of_layers = chosen.pivot_table(index="train_task", columns="test_task", values="value").loc[list(TASKS)]
    value = of_losses.loc["parameter-similarity", "spearman"]
    assert value == pytest.approx(centred_spearman(fall, means_of_layers[list(TASKS)].to_numpy()))
    family = np.array([[one["family"] == other["family"] for other in TASKS.values()] for one in TASKS.values()])
    partial = of_losses.loc["neuron-overlap", "partial"]
    assert partial == pytest.approx(centred_spearman(fall, overlap, (family.astype(float),)))
    assert of_losses.loc["same-family", "spearman"] == pytest.approx(centred_spearman(fall, family))
    # All tasks are of one kind: that tells nothing.
    assert np.isnan(of_losses.loc["same-kind", "spearman"])
    assert of_losses.loc[["same-family", "same-kind"], "partial"].isna().all()
    known = of_losses["p"].notna()
    corrected = multipletests(of_losses.loc[known, "p"], method="holm")[1]
    assert of_losses.loc[known, "p_holm"].to_numpy() == pytest.approx(corrected)
    # Scores: the rise on the common first examples, in points.
    rise = transfer_prediction.rises(found["first_tuned_predictions"], found["base_predictions"], table_settings())
    after, before = (
        read_frame(found[kind][1], "predictions")[0].query(f"id < 4 and condition == '{name}'")["score"].mean()
        for kind, name in (("first_tuned_predictions", "task3"), ("base_predictions", "none"))
    )
    assert rise[3, 1] == pytest.approx(100 * (after - before))


def test_whole_models_are_compared_among_the_tasks_that_they_were_trained_on(inputs, tmp_path):
    found, _, _ = inputs
    tested = []
    rng = np.random.default_rng(5)
    for source in list(TASKS)[:4]:
        frame = pd.DataFrame({"task": list(TASKS), "measure": "loss", "id": 0, "value": rng.random(5)})
        scores = frame.assign(measure="score", value=9.0)  # of the groups' test tasks alone: not looked at
        tested.append(tmp_path / f"{source}-model.parquet")
        write_frame(tested[-1], pd.concat([frame, scores]), "tested model", {"trained_on": [source]})
    vectors = read_frame(found["task_vectors"][0], "task vectors")[0]
    four = vectors[vectors["first"].isin(list(TASKS)[:4]) & vectors["second"].isin(list(TASKS)[:4])]
    kinds = [four.assign(kind=kind, value=rng.random(16)) for kind in ("whole-model", "neuron-slices")]
    write_frame(tmp_path / "vectors.parquet", pd.concat([vectors, *kinds]), "task vectors", {})
    changed = {**found, "whole_tested": tested, "task_vectors": [tmp_path / "vectors.parquet"]}
    table = pd.DataFrame(transfer_prediction.rows(table_settings(), **changed))
    whole = table[table["transfer"] == "whole-model"]
    assert whole["measure"].unique().tolist() == ["loss"] and whole["n_tasks"].unique().tolist() == [4]
    assert whole["status"].unique().tolist() == ["exploratory"] and len(whole) == len(transfer_prediction.COSTS)
    slices = table[(table["predictor"] == "task-vector-cosine-slices") & (table["measure"] == "loss")]
    assert slices["status"].tolist() == ["exploratory"] * 2 and slices["n_tasks"].tolist() == [4, 4]
    figure.draw(table)


def test_few_tasks_are_told_and_drawn(inputs):
    found, _, _ = inputs
    three = dict(list(TASKS.items())[:3])
    fewer = {
        kind: [path for path in paths if not any(task in str(path) for task in ("task3", "task4"))]
        for kind, paths in found.items()
    }
    table = pd.DataFrame(transfer_prediction.rows(table_settings(three), **fewer))
    assert table[["spearman", "ci_low", "p", "p_holm", "partial"]].isna().all(axis=None)
    assert findings({"transfer_prediction": table}, 80) == [
        "3 tasks are too few to tell what predicts transfer between them."
    ]
    figure.draw(table)


def made_up(predictor: str, value: float, low: float, p_holm: float, partial: float, status: str = "primary") -> dict:
    return {
        **{"predictor": predictor, "transfer": "neuron-tuning", "measure": "loss", "status": status},
        **{"n_tasks": 12, "n_pairs": 132, "spearman": value, "ci_low": low, "ci_high": value + 0.1, "p": p_holm / 4},
        **{"p_holm": p_holm, "partial": partial, "partial_ci_low": partial - 0.5, "partial_ci_high": partial + 0.1},
        **{"partial_p": 0.5, "raw": 0.1, "cost": "none"},
    }


def test_the_finding_says_who_is_best_and_where_the_papers_measures_stand():
    rows = [
        made_up("neuron-overlap", 0.4, -0.1, 0.02, 0.2),
        made_up("parameter-similarity", 0.1, -0.2, 0.9, 0.0),
        made_up("gradient-cosine", 0.6, 0.2, 0.004, 0.5),
        made_up("same-family", 0.5, 0.1, 0.08, np.nan),
        made_up("task-vector-cosine-whole", 0.9, 0.8, 0.001, 0.9, "exploratory"),
    ]
    (told,) = findings({"transfer_prediction": pd.DataFrame(rows)}, 80)
    assert "Of 4 predictors" in told and "132 ordered pairs of 12 tasks" in told
    assert "gradient-cosine is the best (+0.60 [+0.20, +0.70], p = 0.001)" in told
    assert "neuron-overlap is number 3 of 4 (+0.40 [-0.10, +0.50], p = 0.005)" in told
    assert "parameter-similarity is number 4 of 4" in told
    assert "left of gradient-cosine +0.50 [+0.00, +0.60], p = 0.5, neuron-overlap +0.20" in told
    assert told.endswith("for all of them): gradient-cosine.")
    rows = [made_up("same-family", 0.5, -0.1, 0.02, np.nan), made_up("neuron-overlap", 0.3, 0.1, 0.2, 0.1)]
    (told,) = findings({"transfer_prediction": pd.DataFrame(rows)}, 80)
    assert "same-family is the best" in told and "left of neuron-overlap +0.10" in told and told.endswith(": none.")
