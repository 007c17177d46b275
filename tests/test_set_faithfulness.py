"""What sets of neurons do together: losses against brute force, sums against derivatives, areas worked by hand."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import MIXTURES, task_file, tiny_model
from taskneurons.config.settings import DeviceSettings, Passes, SetSizes
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.named import named
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.deactivation import set_effects
from taskneurons.deactivation.set_effects import SetEffectsSettings, others, predicted_changes
from taskneurons.deactivation.switch_off import WithSetsOff
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.neurons.blocks import blocks, experts, widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.neuron_set import NeuronSet, random_set
from taskneurons.report.findings.listed import findings
from taskneurons.selection.growing_sets import growing_sets
from taskneurons.selection.task_sets import TaskSets, TaskSetsSettings
from taskneurons.tables.common import TableSettings
from taskneurons.tables.set_effects import SetEffect, TaskEffects, areas, telling_share, tells
from test_mean_ablation import CPU, PAIRS, brute_force, means_of, on_cpu
from test_planted_neurons import examples, planted_model

PASSES = Passes(batch_size=2, batch_tokens=1000)
ABLATIONS = ["zero", "mean"]


def joint_losses(model, pairs, passes, means):
    """The losses of pairs with sets off, by both ablations."""
    measure = partial(target_losses, on_cpu(model), pairs, passes, "t")
    return WithSetsOff(model, {"zero": None, "mean": means}, measure)


@pytest.fixture(params=["llama", "bloom", "opt", "mixtral"])
def some_model(request):
    model = tiny_model(request.param).double()
    if request.param in MIXTURES:
        model.set_experts_implementation("eager")
    return model


def by_block(model, values):
    return torch.as_tensor(values).split([block.width for block in blocks(model)])


# ---- the step ----


@torch.no_grad()
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_joint_losses_against_brute_force(some_model, ablation):
    """Off, kept alone, and all off: what every token's ω is replaced by, one token after the other."""
    means = means_of(some_model) if ablation == "mean" else None
    values = by_block(some_model, np.zeros(sum(widths(some_model))) if means is None else means.values)
    neurons = random_set(30, widths(some_model), 3)
    everything = NeuronSet(np.ones_like(neurons.selected), neurons.widths)
    losses = joint_losses(some_model, PAIRS, PASSES, means)
    batch = collate(PAIRS, CPU)
    found = {}
    for name, off in {
        "off": neurons,
        "kept": others(neurons),
        "empty": everything,
        "whole": others(everything),
    }.items():
        flags = by_block(some_model, off.selected)

        def visit(block, token, omega, flags=flags):
            sink = means is not None and token % batch.input_ids.shape[1] == 0
            return omega if sink else torch.where(flags[block], values[block], omega)

        found[name] = losses.values(off, ablation)
        assert np.allclose(found[name], brute_force(some_model, batch, visit), rtol=1e-9, atol=1e-12)
    assert len({tuple(np.round(one, 6)) for one in found.values()}) == 4
    assert np.allclose(found["whole"], sample_losses(some_model, batch), rtol=1e-9)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_predicted_changes_are_derivatives_along_the_ablation(some_model, ablation):
    """dL/dα at 0, where α moves each neuron of a set from its output (α = 0) to what the ablation puts there (1)."""
    means = means_of(some_model) if ablation == "mean" else None
    values = by_block(some_model, np.zeros(sum(widths(some_model))) if means is None else means.values)
    batch = collate(PAIRS, CPU)
    alpha = torch.zeros(sum(widths(some_model)), dtype=torch.float64, requires_grad=True)
    moved = alpha.split([len(part) for part in values])

    def visit(block, token, omega):
        sink = means is not None and token % batch.input_ids.shape[1] == 0
        return omega if sink else omega + moved[block] * (values[block] - omega)

    losses = brute_force(some_model, batch, visit)
    of_neurons = np.stack([torch.autograd.grad(loss, alpha, retain_graph=True)[0].numpy() for loss in losses])
    sets = [random_set(size, widths(some_model), size) for size in (1, 20, len(alpha))]
    signed, absolute = predicted_changes(on_cpu(some_model), PAIRS, PASSES, sets, means)
    for number, neurons in enumerate(sets):
        own = of_neurons[:, neurons.selected]
        assert np.allclose(signed[number], own.sum(axis=1), rtol=1e-7, atol=1e-12)
        assert np.allclose(absolute[number], np.abs(own).sum(axis=1), rtol=1e-7, atol=1e-12)
    assert not np.allclose(np.abs(signed[1]), absolute[1], rtol=1e-3)


def test_a_set_that_was_tried_is_not_tried_again():
    model, tried = tiny_model("llama"), []
    losses = WithSetsOff(model, {"zero": None, "mean": means_of(model)}, lambda: tried.append(1) or [0.0])
    neurons, nothing = random_set(9, widths(model), 0), random_set(0, widths(model), 0)
    for _ in range(2):
        losses.values(neurons, "zero")
        losses.values(random_set(9, widths(model), 0), "zero")
        for ablation in ABLATIONS:  # with no neuron off both are the model as it is
            losses.values(nothing, ablation)
    assert len(tried) == 2
    losses.values(neurons, "mean")
    assert len(tried) == 3


@pytest.mark.parametrize("seed", range(3))
def test_planted_neurons_alone_are_sufficient_and_necessary(seed):
    model, planted = planted_model(seed)
    neurons = NeuronSet(planted, tuple(widths(model)))
    pairs = examples(seed)
    losses = joint_losses(model, pairs, Passes(), None)
    of_sets = {"planted": neurons, "half": random_set(len(planted) // 2, neurons.widths, seed), "rest": others(neurons)}
    everything = NeuronSet(np.ones_like(planted), neurons.widths)
    whole, empty = (np.array(losses.values(one, "zero")) for one in (others(everything), everything))
    effects = TaskEffects("t", "zero", len(planted), len(pairs), {}, whole, empty)
    found = {}
    for name, one in of_sets.items():
        off, kept = (np.array(losses.values(part, "zero")) for part in (one, others(one)))
        effect = SetEffect(len(one), 1, off, kept, off, off)
        found[name] = effects.sufficiency(effect).mean(), effects.necessity(effect).mean()
    assert found["planted"] == (1, 1)
    assert found["rest"] == (0, 0)
    assert 0 < found["half"][0] < 1


# ---- the sets ----

WIDTHS = (40, 60)


def task_sets(task="a", rules=("global", "contrastive")):
    rng = np.random.default_rng(1)
    families = {"a": "one", "b": "two"}
    settings = TaskSetsSettings(task=task, rules=list(rules), families=families, scope="global")
    made = {"widths": list(WIDTHS), "model": "m"}
    values = {reference: rng.random((2, 100)) ** 4 for reference in ABLATIONS}
    return TaskSets(settings, values, dict.fromkeys(ABLATIONS, made))


def test_sets_grow_within_each_other():
    shares = [50, 1, 10, 30]
    found = {}
    for rule, share, draw, neurons in growing_sets(task_sets(), "zero", shares, draws=2, seed=0):
        found.setdefault((rule, draw), {})[share] = neurons
    assert set(found) == {
        *[("global", 0), ("contrastive", 0)],
        *[(rule, draw) for rule in ("random", "random-in-layers") for draw in (0, 1)],
    }
    for (rule, _), sets in found.items():
        assert [len(sets[share]) for share in sorted(shares)] == [1, 10, 30, 50]
        assert all(neurons.model == "m" for neurons in sets.values())
        if rule != "contrastive":  # its candidates change with the share
            for small, large in ((1, 10), (10, 30), (30, 50)):
                assert sets[small].difference(sets[large]).selected.sum() == 0
    own = found["global", 0]
    for share in shares:
        assert found["random-in-layers", 0][share].counts() == own[share].counts()
    assert found["random", 0][10] != found["random", 1][10]
    assert found["random", 0][50].counts() != own[50].counts()
    scores = task_sets().values["zero"][0]
    assert set(np.flatnonzero(own[10].selected)) == set(np.argsort(-scores)[:10])


def test_random_sets_are_each_tasks_own_and_of_no_reference():
    def random_sets(task, reference):
        sets = growing_sets(task_sets(task), reference, [10], draws=1, seed=0)
        return next(neurons for rule, _, _, neurons in sets if rule == "random")

    assert random_sets("a", "zero") == random_sets("a", "mean")
    assert random_sets("a", "zero") != random_sets("b", "zero")


def test_one_task_alone_has_no_contrast():
    rules = {rule for rule, *_ in growing_sets(task_sets(rules=["global"]), "mean", [10], draws=1, seed=0)}
    assert rules == {"global", "random", "random-in-layers"}


# ---- areas and sums, worked by hand ----


def effects_of(sets, whole, empty):
    """n_neurons out of 10 → (off, kept), each a number; the sums are those of the joint changes."""
    one = {
        float(10 * size): SetEffect(size, 1, *np.array([[off], [kept], [off - whole], [1.0]]))
        for size, (off, kept) in sets.items()
    }
    return TaskEffects("t", "zero", 10, 1, {"global": one}, np.array([whole]), np.array([empty]))


def test_areas_by_hand():
    """f = 0, 1/4, 3/4, 1 and n = 0, 0, 3/2, 1 at the shares 0, 0.1, 0.5, 1."""
    found = areas(effects_of({1: (1.0, 4.0), 5: (7.0, 2.0)}, whole=1.0, empty=5.0), "global")
    assert found["cpr"] == pytest.approx([0.0125 + 0.2 + 0.4375])
    assert found["cmd"] == pytest.approx([0.0875 + 0.2 + 0.0625])
    assert found["necessity_area"] == pytest.approx([0 + 0.3 + 0.625])
    assert found["telling_share_pct"] == [50]


def test_a_set_that_does_better_alone_is_as_far_from_1_as_one_that_does_worse():
    """f = 0, 3/2, 1/2, 1: |1 − f| = 1, 1/2, 1/2, 0."""
    found = areas(effects_of({2: (1.0, -1.0), 6: (1.0, 3.0)}, whole=1.0, empty=5.0), "global")
    assert found["cpr"] == pytest.approx([0.15 + 0.4 + 0.3])
    assert found["cmd"] == pytest.approx([0.15 + 0.2 + 0.1])


def test_all_neurons_are_a_set_like_others():
    """A set of all neurons adds nothing to the ends."""
    one, other = (
        areas(effects_of(sets, whole=1.0, empty=5.0), "global")
        for sets in ({5: (3.0, 2.0)}, {5: (3.0, 2.0), 10: (5.0, 1.0)})
    )
    assert {name: one[name] for name in ("cpr", "cmd", "necessity_area")} == {
        name: pytest.approx(other[name]) for name in ("cpr", "cmd", "necessity_area")
    }


@pytest.mark.parametrize("empty", [1.0, 0.5])
def test_areas_are_missing_where_the_neurons_do_no_good(empty):
    found = areas(effects_of({5: (3.0, 2.0)}, whole=1.0, empty=empty), "global")
    assert all(np.isnan(found[name]).all() for name in ("cpr", "cmd", "necessity_area"))
    assert found["telling_share_pct"] == [50]


def test_a_sum_tells_within_a_factor_of_two():
    joint = np.array([2.0, 2.0, 2.0, 2.0, 2.0, -2.0, -2.0, 0.0, 0.0])
    signed = np.array([1.0, 4.0, 0.9, 4.1, -2.0, -1.0, 1.0, 0.0, 1e-9])
    assert tells(signed, joint).tolist() == [True, True, False, False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("telling", "share"),
    [([1, 1, 1], 10), ([1, 1, 0], 3), ([1, 0, 1], 1), ([0, 1, 1], 0), ([0, 0, 0], 0)],
)
def test_telling_share(telling, share):
    assert telling_share([1, 3, 10], np.array(telling, dtype=bool)[:, None]) == [share]


def effects_file(path, task, sets, whole=(1.0, 2.0), empty=(5.0, 6.0)):
    """Two examples. (rule, share, draw, n_neurons) → off, kept, signed of both examples, the same for both
    ablations; of 10 neurons."""
    rows = []
    for ablation in ABLATIONS:
        cells = {("all", 100.0, 0, 10): (empty, whole, (0.0, 0.0)), **sets}
        for (rule, share, draw, size), (off, kept, signed) in cells.items():
            named = {"ablation": ablation, "rule": rule, "share": share, "draw": draw, "n_neurons": size}
            effects = {"off": off, "kept": kept, "signed": signed, "absolute": (9.0, 11.0)}
            rows.append(pd.DataFrame({**named, "id": [0, 1], **effects}))
    write_frame(path, pd.concat(rows, ignore_index=True), "set effects", {"task": task})
    return path


TASKS = {"a": {"name": "A"}, "b": {"name": "B"}}
GLOBAL = {
    ("global", 50.0, 0, 5): ((2.0, 6.0), (2.0, 3.0), (0.5, 0.5)),
    ("global", 10.0, 0, 1): ((1.5, 2.5), (4.0, 5.0), (0.5, 0.75)),
}


def table(name, files, bootstrap=200):
    settings = TableSettings(table=name, tasks=TASKS, config={"tables.bootstrap": bootstrap, "tables.confidence": 95})
    return pd.DataFrame(named("tables", name).rows(settings, set_effects=files))


def test_the_table_by_hand(tmp_path):
    random = {("random", 50.0, draw, 5): ((2.0 + draw, 3.0 + draw), (3.0, 4.0), (1.0, 1.0)) for draw in (0, 1)}
    found = table("set_faithfulness", [effects_file(tmp_path / "a.parquet", "a", {**GLOBAL, **random})])
    assert len(found) == 2 * 3
    assert list(found["share_pct"][:3]) == [10, 50, 50]
    rows = found[found["ablation"] == "mean"].set_index(["rule", "share_pct"])
    small, large, drawn = rows.loc[("global", 10.0)], rows.loc[("global", 50.0)], rows.loc[("random", 50.0)]
    assert (small["joint_change"], small["signed_sum"], small["ratio"], small["tells"]) == (0.5, 0.625, 1.25, True)
    assert (small["joint_change_ci_low"], small["joint_change_ci_high"]) == (0.5, 0.5)
    assert (large["joint_change"], large["joint_change_ci_low"], large["joint_change_ci_high"]) == (2.5, 1, 4)
    assert (large["ratio"], large["tells"], large["absolute_sum"]) == (0.2, False, 10)
    assert (large["sufficiency"], large["necessity"]) == (0.75, 0.625)
    # Both examples' 4 nats between empty and whole stay 4 in every replicate.
    assert (large["necessity_ci_low"], large["necessity_ci_high"]) == (0.25, 1)
    assert (large["loss_whole"], large["loss_empty"], large["n_test"]) == (1.5, 5.5, 2)
    assert (drawn["joint_change"], drawn["n_draws"], drawn["n_neurons"]) == (1.5, 2, 5)


def test_the_areas_table_and_its_means(tmp_path):
    """B's model does no worse without neurons; its sums tell nothing."""
    silent = {key: (off, kept, (0.0, 0.0)) for key, (off, kept, _) in GLOBAL.items()}
    files = [
        effects_file(tmp_path / "a.parquet", "a", GLOBAL),
        effects_file(tmp_path / "b.parquet", "b", silent, empty=(1.0, 2.0)),
    ]
    found = table("set_faithfulness_areas", files).set_index(["task", "ablation"])
    own = found.loc[("A", "zero")]
    # f = 0, 1/4, 3/4, 1 and n = 0, 1/8, 5/8, 1 at 0, 0.1, 0.5, 1; in a replicate n at 0.5 is 1/4, 5/8 or 1.
    assert own["cpr"] == pytest.approx(0.65) == own["cpr_ci_low"] == own["cpr_ci_high"]
    assert own["cmd"] == pytest.approx(0.35)
    assert own["necessity_area"] == pytest.approx(0.00625 + 0.15 + 0.40625)
    assert own["necessity_area_ci_high"] == pytest.approx(0.00625 + 0.225 + 0.5)
    assert own["telling_share_pct"] == 10
    assert np.isnan(found.loc[("B", "zero"), "cpr"]) and found.loc[("B", "zero"), "telling_share_pct"] == 0
    means = table("set_faithfulness_means", files).set_index("ablation").loc["zero"]
    assert means["cpr"] == pytest.approx(0.65)
    assert (means["n_tasks_with_areas"], means["n_tasks"]) == (1, 2)
    assert [means[f"telling_share_pct_{name}"] for name in ("median", "min", "max")] == [5, 0, 10]


def test_where_no_task_has_areas_they_are_missing(tmp_path):
    found = table("set_faithfulness_means", [effects_file(tmp_path / "a.parquet", "a", GLOBAL, empty=(0.0, 0.0))])
    assert found["cpr"].isna().all() and found["cpr_ci_low"].isna().all()
    assert list(found["n_tasks_with_areas"]) == [0, 0]


def test_findings(tmp_path):
    files = [effects_file(tmp_path / f"{task}.parquet", task, GLOBAL) for task in TASKS]
    names = ("set_faithfulness", "set_faithfulness_areas", "set_faithfulness_means")
    text = " ".join(findings({name: table(name, files) for name in names}, 80))
    assert "Under mean ablation the signed sum of a task's own best scores is within a factor of two" in text
    assert (
        "up to 10 % of all neurons (median over 2 tasks, 10 to 10 %; 0: not even at the smallest share tried, 10 %)"
        in text
    )
    assert "10 % 0.5 (0.62, 10), 50 % 2.5 (0.5, 10)." in text
    assert "zero ablation, mean over 2 tasks: global 0.65 (0.65 to 0.65) and 0.56 (" in text


# ---- the step as a whole ----


def test_the_step_and_its_tables(loaded, monkeypatch, tmp_path):
    model = loaded.model
    monkeypatch.setattr(set_effects, "load_model", lambda path, settings: loaded)
    index, rng = neuron_index(widths(model), experts(model)), np.random.default_rng(0)
    made = {"widths": widths(model), "experts": experts(model), "model": None}
    files = {"scores": [], "scores_from_mean": []}
    for name, paths in files.items():
        for task in TASKS:
            paths.append(tmp_path / name / f"{task}.parquet")
            write_frame(paths[-1], index.assign(score=rng.random(len(index))), "scores", {**made, "task": task})
    write_frame(tmp_path / "means.parquet", index.assign(mean=rng.normal(size=len(index))), "mean outputs", made)
    settings = SetEffectsSettings(
        task="a",
        rules=["global", "contrastive"],
        families={"a": "one", "b": "two"},
        scope="global",
        set_faithfulness=SetSizes(examples=3, shares=[100, 10], random_draws=2),
        passes=PASSES,
        seed=0,
        compute=DeviceSettings(),
    )
    set_effects.main(
        settings,
        model=tmp_path,
        data=task_file(tmp_path / "data.parquet", "a"),
        **files,
        means=[tmp_path / "means.parquet"],
        set_effects=tmp_path / "effects.parquet",
    )
    frame, provenance = read_frame(tmp_path / "effects.parquet", "set effects")
    assert provenance["task"] == "a"
    assert len(frame) == 2 * 3 * (1 + 2 * 2 + 2 * 2 * 2)
    assert frame.notna().all().all()
    of_all = frame[frame["share"] == 100].drop(columns=["rule", "draw"])
    for _, rows in of_all.groupby("ablation"):  # whatever the rule, 100 % are all neurons
        assert len(rows.drop_duplicates()) == 3
    whole = of_all.groupby("ablation")["kept"].apply(list)
    assert whole["zero"] == whole["mean"]
    by_ablation = frame[(frame["rule"] == "global") & (frame["share"] == 10)].groupby("ablation")
    assert by_ablation["off"].apply(list)["zero"] != by_ablation["off"].apply(list)["mean"]
    assert len(table("set_faithfulness", [tmp_path / "effects.parquet"])) == 2 * 4 * 2
