"""Specificity: the contrast and its p, sets of equal own damage, and the table, held against numbers worked by hand."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import loaded_of, task_file
from taskneurons.config.settings import DamageExamples, DeviceSettings, Evaluation, Passes
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.errors import UserError
from taskneurons.core.named import named
from taskneurons.data.task import read_task
from taskneurons.deactivation import damage, own_damage
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mask_file import read_mask, write_mask
from taskneurons.neurons.mean_outputs import MeanOutputs
from taskneurons.neurons.neuron_set import NeuronSet, top_share
from taskneurons.report.findings.listed import findings
from taskneurons.report.page import rows_line, table_html
from taskneurons.selection import equal_damage
from taskneurons.selection.comparison import Comparison
from taskneurons.selection.equal_damage import first_crossing
from taskneurons.tables import specificity, universal_neurons
from taskneurons.tables.common import TableSettings
from taskneurons.tables.contrast import contrast, permutation_p

# ---- the contrast ----

APART = ~np.eye(2, dtype=bool)


def test_the_contrast_by_hand():
    """Logs 2 on the diagonal and 0 beside it: rows and columns have the mean 1, so that 1 and −1 are left."""
    assert contrast(np.exp([[2, 0], [0, 2]]), APART) == pytest.approx(2)
    # A set that harms everything more, a task that everything harms more: neither is specific.
    assert contrast(np.exp([[2, 0], [3, 5]]), APART) == pytest.approx(2)
    assert contrast(np.exp([[2, 1], [0, 3]]), APART) == pytest.approx(2)
    assert contrast(np.ones((2, 2)), APART) == 0


def test_small_damages_count_as_the_floor():
    floored = contrast(np.array([[1.0, 0.01], [0.01, 1.0]]), APART)
    assert floored == pytest.approx(np.log(100))
    assert contrast(np.array([[1.0, -3.0], [0.0, 1.0]]), APART) == floored


def test_cells_of_one_family_count_in_neither_mean():
    """Rows and columns of zero mean, so that centring changes nothing: diagonal 2, off the family −1 and −1.5 alike."""
    logs = np.array([[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]])
    other = np.array([[False, False, True], [False, False, True], [True, True, False]])
    assert contrast(np.exp(logs), other) == pytest.approx(3)
    logs = np.array([[1.0, 1.0, -2.0], [1.0, 1.0, -2.0], [-2.0, -2.0, 4.0]])
    assert contrast(np.exp(logs), other) == pytest.approx(2 + 2)


def test_the_contrast_of_replicates_is_each_ones_own():
    replicates = np.random.default_rng(0).random((5, 4, 4)) + 0.1
    other = ~np.eye(4, dtype=bool)
    assert contrast(replicates, other) == pytest.approx([contrast(one, other) for one in replicates])


def test_p_against_brute_force():
    rng = np.random.default_rng(3)
    families = np.array([0, 0, 1, 2, 2])
    other = families[:, None] != families
    seen = set()
    for _ in range(5):
        damages = rng.random((5, 5)) + 1.5 * rng.random() * np.eye(5)
        own = contrast(damages, other)
        orders = [list(order) for order in permutations(range(5))]
        as_large = sum(contrast(damages[order], other) >= own - 1e-9 for order in orders)  # the identity is one
        assert permutation_p(damages, other) == pytest.approx(as_large / 120)
        seen.add(as_large)
    assert len(seen) > 2


def test_p_of_many_tasks_is_drawn_and_seeded():
    other = ~np.eye(9, dtype=bool)
    assert permutation_p(1 + 5 * np.eye(9), other) == 1 / 10_001
    noise = np.random.default_rng(5).random((9, 9))
    assert permutation_p(noise, other) == permutation_p(noise, other)
    assert permutation_p(np.ones((9, 9)), other) == 1
    ps = [permutation_p(np.random.default_rng(seed).random((9, 9)), other) for seed in range(40)]
    assert 0.3 < np.mean(ps) < 0.7


# ---- equal own damage ----


@pytest.mark.parametrize(
    ("percents", "damages", "target", "expected"),
    [
        ([1, 10], [1, 3], 2, 10**0.5),  # halfway up, halfway in log k
        ([1, 10], [1, 3], 3, 10),
        ([1, 10], [1, 3], 1, 1),
        ([1, 10], [1, 3], 0.5, 0.5),  # linear below the smallest k
        ([1, 10], [-1, 3], 1, 10**0.5),  # from harm that is none
        ([1, 10, 100], [1, 5, 2], 2, 10**0.25),  # the first of two crossings
        ([0.1, 1, 10], [3, 1, 5], 2, 0.1 * 2 / 3),
    ],
)
def test_the_first_crossing_by_hand(percents, damages, target, expected):
    assert first_crossing(np.array(percents, float), np.array(damages, float), target) == pytest.approx(expected)


TASKS = {"one": "x", "two": "x", "three": "y"}
WIDTHS = (40, 60)


def score_files(folder: Path, model: str, sizes=WIDTHS, experts=None) -> dict[str, list[Path]]:
    """Random scores of all tasks by both references, as keywords of the steps."""
    rng = np.random.default_rng(0)
    found: dict[str, list[Path]] = {"scores": [], "scores_from_mean": []}
    for keyword, reference in zip(found, ("zero", "mean"), strict=True):
        for task in TASKS:
            path = folder / f"{keyword}-{task}.parquet"
            frame = neuron_index(sizes).assign(score=rng.random(sum(sizes)))
            made = {"task": task, "model": model, "reference": reference}
            made |= {"widths": list(sizes), "experts": experts or [None] * len(sizes)}
            write_frame(path, frame, "scores", made)
            found[keyword].append(path)
    return found


def scores_of(files, keyword):
    return np.stack([read_frame(path, "scores")[0]["score"] for path in files[keyword]])


def own_damage_file(path: Path, rises: dict[tuple[str, str, str], list[float]], grid=(1.0, 10.0)) -> Path:
    """Two examples whose losses rise by 0.5 less and more than the mean; the model as it is has the losses 1 and 3."""
    rows = [("none", "none", "none", 0.0, 0, n, value) for n, value in enumerate((1.0, 3.0))]
    for (rule, reference, ablation), damages in rises.items():
        for k, damage_at_k in zip(grid, damages, strict=True):
            for n, value in enumerate((1.0 + damage_at_k - 0.5, 3.0 + damage_at_k + 0.5)):
                rows.append((rule, reference, ablation, k, 5, n, value))
    columns = ["rule", "reference", "ablation", "k", "n_neurons", "id", "value"]
    write_frame(path, pd.DataFrame(rows, columns=columns), "own damage", {"task": "one"})
    return path


def equal_masks(tmp_path, rises):
    settings = equal_damage.EqualDamageSettings(
        task="one", rules=["global", "contrastive"], families=TASKS, scope="global", seed=0
    )
    files = score_files(tmp_path, "m")
    names = [
        f"{random}{rule}-equal-{ablation}"
        for random in ("", "random-like-")
        for rule in ("global", "contrastive")
        for ablation in ("zero", "mean")
    ]
    made = {keyword: [tmp_path / keyword / f"{name}.parquet" for name in names] for keyword in ("masks", "from_mean")}
    source = own_damage_file(tmp_path / "own.parquet", rises)
    equal_damage.main(settings, own_damage=source, **files, masks=made["masks"], masks_from_mean=made["from_mean"])
    found = {
        (reference, path.stem): read_mask(path)
        for reference, keyword in (("zero", "masks"), ("mean", "from_mean"))
        for path in made[keyword]
    }
    return found, files


WAYS = [(rule, ref, how) for rule in ("global", "contrastive") for ref in ("zero", "mean") for how in ("zero", "mean")]


def test_sets_of_equal_own_damage(tmp_path):
    """The target is the least at k = 10, 3 nats, of contrastive sets from the mean set to the mean."""
    rises = {key: [1.0, 5.0] for key in WAYS} | {("contrastive", "mean", "mean"): [1.0, 3.0]}
    rises |= {("global", "zero", "zero"): [6.0, 7.0]}
    found, files = equal_masks(tmp_path, rises)
    assert len(found) == 16
    expected = dict.fromkeys(WAYS, 10**0.5) | {("contrastive", "mean", "mean"): 10, ("global", "zero", "zero"): 0.5}
    for (rule, reference, ablation), k in expected.items():
        neurons, made = found[reference, f"{rule}-equal-{ablation}"]
        assert (made["rule"], made["reference"], made["ablation"], made["set"]) == (rule, reference, ablation, "one")
        assert made["matching"] == "own damage" and "k" not in made
        assert (made["matched_k"], made["target"]) == pytest.approx((k, 3.0))
        drawn, made_of_drawn = found[reference, f"random-like-{rule}-equal-{ablation}"]
        assert (len(drawn), made_of_drawn["rule"]) == (len(neurons), f"random-like-{rule}")
        assert drawn != neurons
        values = scores_of(files, "scores" if reference == "zero" else "scores_from_mean")
        if rule == "global":
            assert neurons == top_share(values[0], k, WIDTHS)
        else:
            compared = Comparison(values, 0, list(TASKS.values()), WIDTHS, "global", 100)
            assert neurons == named("selection.rules", "contrastive").select(compared, k)


def test_where_some_set_does_no_harm_no_k_is_equal(tmp_path):
    rises = {key: [1.0, 5.0] for key in WAYS} | {("global", "zero", "mean"): [2.0, -0.1]}
    found, _ = equal_masks(tmp_path, rises)
    for neurons, made in found.values():
        assert (len(neurons), made["matched_k"]) == (0, 0)
        assert made["target"] == pytest.approx(-0.1)


def test_masks_that_are_not_those_of_the_curves_are_refused(tmp_path):
    with pytest.raises(UserError, match="are not those of the curves"):
        equal_masks(tmp_path, {key: [1.0, 2.0] for key in WAYS[:-1]})


# ---- the steps on a model ----


@pytest.fixture
def at_hand(monkeypatch):
    loaded = loaded_of("llama")
    rng = np.random.default_rng(7)
    means = MeanOutputs(rng.normal(size=sum(widths(loaded.model))), tuple(widths(loaded.model)))
    for module in (own_damage, damage):
        monkeypatch.setattr(module, "load_model", lambda path, settings: loaded)
        monkeypatch.setattr(module, "read_means", lambda paths: means)
    return loaded, means


PASSES = Passes(batch_size=2, batch_tokens=1000)


def test_own_damage_against_direct_evaluation(at_hand, tmp_path):
    loaded, means = at_hand
    sizes = tuple(widths(loaded.model))
    files = score_files(tmp_path, loaded.identity, sizes)
    settings = own_damage.OwnDamageSettings(
        **{"task": "two", "rules": ["per-layer", "contrastive"], "families": TASKS, "scope": "per-layer"},
        **{"grid": [5.0, 30.0], "examples": 3, "passes": PASSES, "compute": DeviceSettings()},
    )
    data, out = task_file(tmp_path / "data.parquet", "two"), tmp_path / "out.parquet"
    own_damage.main(settings, model=Path("m"), data=data, **files, means=[Path("means")], own_damage=out)
    frame, _ = read_frame(out, "own damage")
    pairs = [example.pair for example in read_task(data).encoded(loaded.tokenizer)[:3]]
    whole = frame.loc[frame["rule"] == "none", "value"]
    assert whole.tolist() == pytest.approx(target_losses(loaded, pairs, PASSES, "two"))
    ways = [(*way, k) for way in WAYS for k in (5.0, 30.0)]
    assert len(frame) == 3 * (1 + len(ways))
    for rule, reference, ablation, k in ways:
        rule = rule.replace("global", "per-layer")
        values = scores_of(files, "scores" if reference == "zero" else "scores_from_mean")
        compared = Comparison(values, 1, list(TASKS.values()), sizes, "per-layer", 100)
        neurons = named("selection.rules", rule).select(compared, k)
        key = (frame[["rule", "reference", "ablation", "k"]] == (rule, reference, ablation, k)).all(axis=1)
        with deactivated(loaded.model, neurons, means if ablation == "mean" else None):
            expected = target_losses(loaded, pairs, PASSES, "two")
        assert frame.loc[key, "value"].tolist() == pytest.approx(expected, rel=1e-6)
        assert set(frame.loc[key, "n_neurons"]) == {len(neurons)}
    assert frame["value"].nunique() == len(frame)


def test_sets_of_equal_damage_are_switched_off_in_their_own_way_alone(at_hand, tmp_path):
    """Of a mask at k both ablations, of one of equal damage its own; of what is lossless here the score alone."""
    loaded, means = at_hand
    sizes = widths(loaded.model)
    sets = {
        "plain": (top_share(np.arange(sum(sizes)), 20, tuple(sizes)), {"rule": "global", "k": 20.0}),
        "equal": (
            top_share(-np.arange(sum(sizes)), 10, tuple(sizes)),
            {"rule": "global", "k": 10.0, "matching": "own damage", "ablation": "mean"},
        ),
        "unreached": (
            NeuronSet(np.zeros(sum(sizes), bool), tuple(sizes)),
            {"rule": "global", "k": 0.0, "matching": "own damage", "ablation": "zero"},
        ),
        "scored": (top_share(np.arange(sum(sizes)), 5, tuple(sizes)), {"rule": "contrastive", "k": 5.0}),
    }
    masks = []
    for name, (neurons, made) in sets.items():
        masks.append(tmp_path / f"{name}.parquet")
        made = {"set": "one", "model": loaded.identity, "reference": "mean", **made}
        write_mask(masks[-1], neurons, [None] * len(sizes), None, made)
    settings = damage.DamageSettings(
        damage=DamageExamples(examples=2, scored={"contrastive": [5]}, scored_examples=2),
        ablations=["zero", "mean"],
        lossless={"contrastive": [5]},
        evaluation=Evaluation(batch_size=2),
        batch_tokens=1000,
        compute=DeviceSettings(),
    )
    data, out = task_file(tmp_path / "data.parquet", "one"), tmp_path / "out.parquet"
    damage.main(settings, model=Path("m"), data=data, masks=masks, means=[Path("means")], damage=out)
    frame, _ = read_frame(out, "damage")
    keys = ["rule", "k", "matching", "reference", "ablation", "measure"]
    assert set(map(tuple, frame[keys].drop_duplicates().to_numpy())) == {
        ("none", 0.0, "none", "none", "none", "loss"),
        ("none", 0.0, "none", "none", "none", "score"),
        *(("global", 20.0, "k", "mean", how, "loss") for how in ("zero", "mean")),
        ("global", 10.0, "own damage", "mean", "mean", "loss"),
        ("global", 0.0, "own damage", "mean", "zero", "loss"),
        *(("contrastive", 5.0, "k", "mean", how, "score") for how in ("zero", "mean")),
    }
    pairs = [example.pair for example in read_task(data).encoded(loaded.tokenizer)[:2]]
    with deactivated(loaded.model, sets["equal"][0], means):
        expected = target_losses(loaded, pairs, PASSES, "one")
    assert frame.loc[frame["matching"] == "own damage", "value"].tolist()[:2] == pytest.approx(expected, rel=1e-6)
    whole = frame[(frame["rule"] == "none") & (frame["measure"] == "loss")]["value"].tolist()
    assert frame.loc[frame["k"] == 0, "value"].tolist().count(whole[0]) == 2  # an empty set changes nothing


# ---- the table ----

# Set of a task → the mean damage to each task, nats.
DAMAGE = {
    "one": {"one": 4.0, "two": 2.0, "three": 0.5},
    "two": {"one": 1.0, "two": 0.6, "three": 0.001},
    "three": {"one": 2.0, "two": 1.0, "three": 3.0},
}
N_TEST = {"one": 4, "two": 6, "three": 8}
OWN_K = {"one": 2.0, "two": 4.0, "three": 6.0}


def damage_files(folder: Path, unreached=(), scale=None, tasks=TASKS) -> list[Path]:
    """Files of one task each: the paper's way and the headline, random sets (two draws) and the universal neurons.

    Args:
        scale: task → factor of the damage to each of its examples; 1 where it is not given.
    """
    folder.mkdir(exist_ok=True)
    columns = ["rule", "k", "reference", "matching", "masked_task", "draw", "ablation", "n_neurons", "damage"]
    paths = []
    for tested in tasks:
        sets = [("none", 0.0, "none", "none", "none", 0, "none", 0, 0.0)]
        for own in tasks:
            rise = DAMAGE[own][tested]
            sets.append(("global", 10.0, "zero", "k", own, 0, "zero", 10, 2 * rise))
            k = 0.0 if own in unreached else OWN_K[own]
            sets.append(("contrastive", k, "mean", "own damage", own, 0, "mean", round(10 * k), rise))
        sets += [("random", 10.0, "none", "k", f"random-{n}", n, "zero", 10, 0.2 + 0.2 * n) for n in (0, 1)]
        sets.append(("universal", 10.0, "zero", "k", "one", 0, "zero", 3, N_TEST[tested] / 4))
        k = 0.0 if tested in unreached else OWN_K[tested]
        sets.append(("random-like-contrastive", k, "mean", "own damage", "random-0", 0, "mean", round(10 * k), 0.1))
        frame = pd.DataFrame(sets, columns=columns)
        rows = []
        factors = (scale or {}).get(tested, np.ones(N_TEST[tested]))
        for number, factor in enumerate(factors):
            part = frame.assign(id=number, measure="loss", value=number + frame["damage"] * factor)
            rows.append(part.drop(columns="damage"))
        paths.append(folder / f"{tested}.parquet")
        write_frame(paths[-1], pd.concat(rows), "damage", {"task": tested})
    return paths


def table_of(paths, tasks=TASKS, scope="global"):
    settings = TableSettings(
        table="specificity",
        tasks={task: {"family": family} for task, family in tasks.items()},
        config={"tables.bootstrap": 200, "tables.confidence": 95, "selection.scope": scope},
    )
    return pd.DataFrame(specificity.rows(settings, specificity=paths))


def test_the_table_by_hand(tmp_path):
    table = table_of(damage_files(tmp_path / "files"))
    assert list(table["rule"]) == ["global", "universal", "random", "contrastive"]
    rows = table.set_index("rule")
    assert dict(rows["status"]) == {
        "global": "the paper's",
        "random": "the paper's",
        "universal": "exploratory",
        "contrastive": "headline",
    }
    assert dict(rows["matching"]) == dict.fromkeys(rows.index, "k = 10") | {"contrastive": "equal own damage"}
    own = rows.loc["contrastive"]
    assert (own["k"], own["n_neurons"], own["n_tasks"], own["n_test"], own["n_unreached"]) == (4, 40, 3, 18, 0)
    assert own["own"] == pytest.approx((4 + 0.6 + 3) / 3)
    assert own["family"] == pytest.approx((2 + 1) / 2)
    assert own["other"] == pytest.approx((0.5 + 0.001 + 2 + 1) / 4)
    assert own["own_over_other"] == pytest.approx(own["own"] / own["other"])
    # One is hurt by its own set more than by three's, two is not, and three is.
    assert (own["most_harmful"], own["n_floored"]) == (2, 1)
    matrix = np.array([[DAMAGE[one][other] for other in TASKS] for one in TASKS])
    apart = np.array([[False, False, True], [False, False, True], [True, True, False]])
    assert own["contrast"] == pytest.approx(contrast(matrix, apart))
    assert own["p"] == permutation_p(matrix, apart)
    assert own["own_less_random"] == pytest.approx(own["own"] - 0.1)
    paper = rows.loc["global"]
    assert paper["own"] == pytest.approx(2 * own["own"])
    assert paper["own_less_random"] == pytest.approx(paper["own"] - 0.3)  # mean over draws
    assert (paper["k"], paper["n_neurons"]) == (10, 10)
    assert rows.loc["random", "other"] == pytest.approx(0.3)
    assert rows.loc["universal", "other"] == pytest.approx((1 + 1.5 + 2) / 3)
    assert rows.loc[["random", "universal"], ["own", "contrast", "p"]].isna().all().all()
    # Every example is harmed alike: intervals have no width.
    for name in ("own", "family", "other", "contrast"):
        assert own[f"{name}_ci_low"] == pytest.approx(own[name]) == own[f"{name}_ci_high"]


def test_examples_are_resampled_within_tasks_once_for_all_sets(tmp_path):
    """Examples that every set harms twice as much widen the intervals of means, and not that of the contrast."""
    rng = np.random.default_rng(1)
    scale = {task: 100 * (0.5 + rng.random(size)) for task, size in N_TEST.items()}
    own = table_of(damage_files(tmp_path / "files", scale=scale)).set_index("rule").loc["contrastive"]
    for name in ("own", "family", "other"):
        assert own[f"{name}_ci_low"] < own[name] < own[f"{name}_ci_high"]
    assert own["n_floored"] == 0
    assert own["contrast_ci_low"] == pytest.approx(own["contrast"]) == own["contrast_ci_high"]


def test_tasks_without_equal_damage_are_left_out_and_counted(tmp_path):
    rows = table_of(damage_files(tmp_path / "some", unreached=["two"])).set_index("rule")
    own = rows.loc["contrastive"]
    assert (own["n_tasks"], own["n_unreached"], own["n_test"], own["k"]) == (2, 1, 12, 4)
    assert own["own"] == pytest.approx(3.5) and own["other"] == pytest.approx(1.25)
    assert np.isnan(own["family"]) and own["p"] == 0.5
    assert rows.loc["global", "n_tasks"] == 3
    none = table_of(damage_files(tmp_path / "none", unreached=list(TASKS))).set_index("rule").loc["contrastive"]
    assert (none["n_tasks"], none["n_unreached"]) == (0, 3)
    assert np.isnan(none["own"])


def test_one_family_has_no_contrast(tmp_path):
    tasks = {"one": "x", "two": "x"}
    table = table_of(damage_files(tmp_path / "files", tasks=tasks), tasks)
    own = table.set_index("rule").loc["contrastive"]
    assert own["family"] == 1.5 and np.isnan(own["other"]) and np.isnan(own["contrast"]) and np.isnan(own["p"])
    (told,) = findings({"specificity": table}, 80)
    assert "there are not sets of two families" in told


def universal_of(folder: Path, chosen: dict[str, list[int]]) -> list[dict]:
    """The rows of the universal neurons of tasks that have these neurons; the mean output of neuron n is n / 10."""
    masks = [folder / f"{task}.parquet" for task in chosen]
    for path, (task, own) in zip(masks, chosen.items(), strict=True):
        write_mask(path, NeuronSet(np.isin(np.arange(100), own), WIDTHS), [None, None], None, {"set": task})
    means = folder / "means.parquet"
    write_frame(means, neuron_index(WIDTHS).assign(mean=np.arange(100) / 10), "mean outputs", {})
    config = {"attribution.reference": "mean", "selection.k": 3.0}
    settings = TableSettings(table="universal_neurons", tasks={}, config=config)
    return universal_neurons.rows(settings, masks=masks, means=[means])


def test_universal_neurons_by_hand(tmp_path):
    """Neuron 2 is in all three sets, 5 and 41 in two, 0 and 60 in one; of two sets one is half, but not two."""
    table = pd.DataFrame(universal_of(tmp_path, {"one": [0, 2, 5], "two": [2, 41, 60], "three": [2, 5, 41]}))
    assert table[["layer", "neuron", "n_tasks", "mean_output"]].to_numpy().tolist() == [
        *([0, 2, 3, 0.2], [0, 5, 2, 0.5], [1, 1, 2, 4.1])
    ]
    assert table["layer_pct"].tolist() == pytest.approx([5, 5, 100 / 60])
    assert set(table["all_pct"]) == {3.0} and set(table["reference"]) == {"mean"}
    assert universal_of(tmp_path, {"one": [1], "two": [2]}) == []


def test_findings_follow_from_the_tables(tmp_path):
    table = table_of(damage_files(tmp_path / "files"))
    universal = pd.DataFrame({"layer": [0, 0, 2], "layer_pct": [5.0, 5.0, 30.0], "all_pct": 3.0, "reference": "zero"})
    tables = {"specificity": table, "universal_neurons": universal}
    proof, hubs = findings(tables, 80)
    assert "under the paper's control (the top 10 % by score, set to zero) own sets cost 5.07 (5.07 to 5.07)" in proof
    assert "own less random 4.77 (4.77 to 4.77)" in proof
    assert "more harmful than random ones and of too few tasks for a verdict" in proof  # three: p is at least 1/6
    assert (
        "under the fair one, fixed in advance (contrastive sets by scores from the mean, set to the mean, at equal own"
        in proof
    )
    assert hubs.startswith("3 neurons (3.0 % of all) are in at least half of all tasks' top k")
    assert "layers 2 (30 % of it), 0 (5 % of it)" in hubs
    assert "all tasks' loss rises by 1.50 (1.50 to 1.50) set to zero (nats a token)" in hubs
    table = table.assign(n_tasks=4)  # whose least p is 1/24
    specific = table.assign(p=0.01, contrast_ci_low=0.5)
    assert findings({"specificity": specific}, 80)[0].count("more harmful than random ones and specific") == 2
    worse = table.assign(contrast_ci_low=-2.0, contrast_ci_high=-0.1, own_less_random_ci_low=-0.1)
    told = findings({"specificity": worse}, 80)[0]
    assert "not shown to be more harmful than random ones and not shown to be specific" in told
    assert "(1 of 16 damages below the floor)" in told
    assert findings({"universal_neurons": universal.iloc[:0]}, 80) == [
        "No neuron is in at least half of all tasks' top k."
    ]


def test_the_page_shows_the_first_rows_of_a_long_table():
    frame = pd.DataFrame({"value": np.arange(100.0) + 1000, "p": 0.0001})
    html = table_html(frame)
    assert html.count("<tr") == 41 and "1039.0" in html and "1040.0" not in html
    assert "0.0001" in html
    assert rows_line("name", 100) == "The first 40 of 100 rows; all are in tables/name.csv"
    assert rows_line("name", 40) == "40 rows"
