"""Where families' neurons and hubs lie."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from taskneurons.core.artifacts import write_frame
from taskneurons.core.errors import UserError
from taskneurons.figures import hubs as figure
from taskneurons.neurons.layout import neuron_index
from taskneurons.report.findings.listed import findings
from taskneurons.tables import hubs
from taskneurons.tables.common import TableSettings

WIDTHS = (4, 6)
FAMILIES = {"a": "x", "b": "x", "c": "y", "d": "y"}
# The top 30 % of ten neurons are three: of each task those with these scores.
TOPS = {"a": [0, 1, 4], "b": [0, 1, 5], "c": [0, 6, 7], "d": [4, 8, 9]}


def files_of(folder, tops=TOPS, replicates=None) -> dict[str, list]:
    """Scores, and replicates by which the same or other neurons are the best."""
    paths: dict[str, list] = {"scores": [], "score_replicates": []}
    for task, best in tops.items():
        made = {"model": "m", "task": task, "widths": WIDTHS}
        again = {f"replicate_{n}": flags(one[task]) for n, one in enumerate(replicates or [tops])}
        for kind, name, columns in (
            ("scores", "scores", {"score": flags(best)}),
            ("score_replicates", "score replicates", again),
        ):
            paths[kind].append(folder / f"{kind}-{task}.parquet")
            write_frame(paths[kind][-1], neuron_index(WIDTHS).assign(**columns), name, made)
    return paths


def flags(best) -> np.ndarray:
    return np.isin(np.arange(10), best).astype(float)


def table_of(paths, families=FAMILIES) -> pd.DataFrame:
    tasks = {task: {"family": family} for task, family in families.items()}
    config = {"selection.k": 30.0, "selection.scope": "global", "tables.confidence": 95}
    return pd.DataFrame(hubs.rows(TableSettings(table="hubs", tasks=tasks, config=config), **paths))


def test_shares_by_hand(tmp_path):
    """Hubs are 0 (three tasks), 1 and 4 (two of four): two of the first layer's four, one of the second's six."""
    table = table_of(files_of(tmp_path)).set_index(["group", "layer"])
    assert table["value"].to_dict() == pytest.approx(
        {("x", 0): 50, ("x", 1): 100 / 6, ("y", 0): 12.5, ("y", 1): 250 / 6, ("hubs", 0): 50, ("hubs", 1): 100 / 6}
    )
    assert table["n_neurons"].to_dict() == pytest.approx(
        {("x", 0): 2, ("x", 1): 1, ("y", 0): 0.5, ("y", 1): 2.5, ("hubs", 0): 2, ("hubs", 1): 1}
    )
    assert table.loc["x", "chance"].tolist() == [30, 30] and table.loc["y", "n_tasks"].tolist() == [2, 2]
    assert table["layer_neurons"].tolist() == [4, 6] * 3
    assert (table["ci_low"] == table["value"]).all() and (table["ci_high"] == table["value"]).all()  # one replicate


def test_the_chance_of_hubs_by_brute_force(tmp_path):
    """Independent tasks with as many neurons in a layer: a neuron is a hub in two or more of four tasks' sets."""
    table = table_of(files_of(tmp_path)).set_index(["group", "layer"])
    for layer, width in enumerate(WIDTHS):
        first = 0 if layer == 0 else 4
        shares = [sum(first <= one < first + width for one in best) / width for best in TOPS.values()]
        chance = sum(
            np.prod([share if inside else 1 - share for share, inside in zip(shares, outcome, strict=True)])
            for outcome in product([True, False], repeat=4)
            if sum(outcome) >= 2
        )
        assert table.loc[("hubs", layer), "chance"] == pytest.approx(100 * chance)


def test_the_chance_of_hubs_by_simulation():
    rng, shares = np.random.default_rng(0), [0.1, 0.4, 0.2]
    drawn = sum(rng.random(200_000) < share for share in shares)
    distribution = hubs.number_of_successes(np.array(shares))
    assert distribution.sum() == pytest.approx(1)
    assert [np.mean(drawn == number) for number in range(4)] == pytest.approx(distribution.tolist(), abs=0.005)


def test_intervals_are_the_replicates_spread_around_the_value(tmp_path):
    """Of task a two replicates have 2 and 3 of layer 0's neurons, b always 2: the family has 50 and 62.5 %."""
    other = {**TOPS, "a": [0, 1, 2]}
    table = table_of(files_of(tmp_path, replicates=[TOPS, other])).set_index(["group", "layer"])
    row = table.loc[("x", 0)]
    low, high = np.percentile([50 - 6.25, 50 + 6.25], [2.5, 97.5])
    assert (row["value"], row["ci_low"], row["ci_high"]) == pytest.approx((50, low, high))
    assert table.loc[("y", 0), "ci_low"] == table.loc[("y", 0), "ci_high"]


def test_scores_of_a_second_model_do_not_count_and_a_missing_task_is_told(tmp_path):
    paths = files_of(tmp_path)
    second = tmp_path / "second.parquet"
    made = {"model": "other", "task": "a", "widths": WIDTHS}
    write_frame(second, neuron_index(WIDTHS).assign(score=flags([9])), "scores", made)
    more = {"scores": [*paths["scores"], second], "score_replicates": [*paths["score_replicates"], second]}
    pd.testing.assert_frame_equal(table_of(more), table_of(paths))
    with pytest.raises(UserError, match="no file of scores is of the task 'e'"):
        table_of(paths, {**FAMILIES, "e": "x"})


def test_the_finding_follows_from_the_tables(tmp_path):
    table = table_of(files_of(tmp_path))
    (told,) = findings({"hubs": table}, 80)
    chance = sum(table.loc[table["group"] == "hubs", "chance"] * [4, 6]) / 100
    assert told.startswith(
        f"3 of 10 neurons are hubs (universal), where {chance:.1f} would be if tasks chose independently"
    )
    assert "layer 0 holds the most (50 % of it)" in told and "with them alone off" not in told
    damage = pd.DataFrame(
        [
            {"rule": rule, "k": 30.0, "relation": relation, "measure": "loss", "value": value}
            for rule, of_relations in {
                "global": {"own": [4.0, 2.0], "other": [3.0, 3.0]},
                "universal": {"own": [1.0, 3.0], "other": [2.0, 2.0]},
                "without-universal": {"own": [0.5, 0.5], "other": [0.1, 0.3]},
            }.items()
            for relation, values in of_relations.items()
            for value in values
        ]
    )
    told = findings({"hubs": table, "selection_damage": damage}, 80)[0]
    assert "with them alone off a task's loss rises by 2.00 nats a token" in told
    assert "with its own neurons but them off by 0.50 (other families' tasks 0.20)" in told
    assert "with all its own off by 3.00 (other families' tasks 3.00)" in told


def test_the_figure_draws(tmp_path):
    axes = figure.draw(table_of(files_of(tmp_path))).axes
    assert [one.get_title() for one in axes] == ["families' top k", "hubs: in at least half of all tasks' top k"]
    assert [line.get_label() for line in axes[0].lines] == ["x", "y", "chance"]
