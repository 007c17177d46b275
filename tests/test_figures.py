"""Figures of small tables made by hand: what is drawn is what the table holds."""

from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer

from taskneurons.core.artifacts import write_frame
from taskneurons.core.named import named
from taskneurons.figures.draw import FigureSettings, main

CROSSED = {("A", "A"): -60.0, ("A", "B"): -10.0, ("B", "A"): 0.4, ("B", "B"): -99.6}  # (neurons of, tested) → change


@pytest.fixture(autouse=True)
def no_figure_left():
    yield
    plt.close("all")


def draw(name, *tables):
    return named("figures", name).draw(*tables)


def labels(ticks):
    return [tick.get_text() for tick in ticks]


def legend_labels(legend):
    return labels(legend.get_texts())


def lines_of(axes):
    """Label → its points, of the lines that have a label of their own."""
    return {
        line.get_label(): list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def crossed_table(rows, metric="accuracy", shift=0.0, **columns):
    """A cross-task table of CROSSED, its column of the neurons' task named `rows`."""
    cells = [{rows: own, "task": tested, "change": change + shift} for (own, tested), change in CROSSED.items()]
    return pd.DataFrame(cells).assign(metric=metric, **columns)


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("deactivation", ["original", "deactivate-random", "deactivate-task"]),
        ("neuron_tuning", ["zero-shot", "train-random", "train-task"]),
    ],
)
def test_bars_of_methods(name, methods):
    """Task by task in the table's order, a bar a method, whose error bar goes from ci_low to ci_high."""
    cells = [(method, task) for method in methods[::-1] for task in ("B", "A")]
    table = pd.DataFrame(cells, columns=["method", "task"])
    table["value"] = [10.0, 20, 30, 40, 50, 60]
    table["ci_low"], table["ci_high"] = table["value"] - 3, table["value"] + [1, 2, 3, 4, 5, 6]
    table["metric"] = table["task"].map({"A": "rougeL", "B": "accuracy"})
    if name == "neuron_tuning":  # other rows are not shown
        table["rate"] = table["method"].map({"train-random": "tuned", "train-task": "tuned"})
        others = [table[table["rate"] == "tuned"].assign(rate="common", value=99.0)]
        table = pd.concat([*others, table, table.tail(2).assign(method="train-contrastive", rate="tuned")])
    (axes,) = draw(name, table).axes
    assert labels(axes.get_xticklabels()) == ["B\n(accuracy)", "A\n(rougeL)"]
    assert axes.get_ylabel() == "score"
    bars = [container for container in axes.containers if isinstance(container, BarContainer)]
    errors = [container for container in axes.containers if isinstance(container, ErrorbarContainer)]
    assert legend_labels(axes.get_legend()) == methods
    for method, drawn, error in zip(methods, bars, errors, strict=True):
        rows = table[(table["method"] == method) & (table["value"] < 99)]
        assert [bar.get_height() for bar in drawn] == list(rows["value"])
        assert [round(bar.get_center()[0]) for bar in drawn] == [0, 1]
        ends = np.array(error.lines[2][0].get_segments())[:, :, 1]
        np.testing.assert_allclose(ends, rows[["ci_low", "ci_high"]])
    lefts = [[bar.get_x() for bar in drawn] for drawn in bars]
    assert lefts == sorted(lefts)


def budget_table(rates=("tuned", "common"), sizes=(1.0, 10.0)):
    """A tuning budget table: own at 1, 2, 3, random at 1, 4, 5 over the steps; own at 5 and 6 over k."""
    rows = [
        {"curve": "steps", "rate": rate, "k": 10.0, "steps": 20.0 * n, "kind": kind, "value": value, "n_tasks": 3}
        for rate in rates
        for kind, values in (("random", (1, 4, 5)), ("own", (1, 2, 3)))
        for n, value in enumerate(values)
    ]
    rows += [
        {"curve": "k", "rate": rate, "k": k, "steps": 40.0, "kind": "own", "value": 5.0 + n, "n_tasks": 2}
        for rate in rates
        for n, k in enumerate(sizes)
    ]
    return pd.DataFrame(rows[::-1])


def test_tuning_budget():
    """A panel a rate, and as many over k where there are other k; a line a kind, its points in order."""
    figure = draw("tuning_budget", budget_table())
    tuned, common, over_k, common_over_k = figure.axes
    for axes in (tuned, common):
        assert lines_of(axes) == {"random": [(0, 1), (20, 4), (40, 5)], "own": [(0, 1), (20, 2), (40, 3)]}
    assert lines_of(over_k) == lines_of(common_over_k) == {"own": [(1, 5), (10, 6)]}
    assert (over_k.get_xscale(), labels(over_k.get_xticklabels())) == ("log", ["1", "10"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "at each kind's tuned rate, k = 10 %",
        "at the common rate, k = 10 %",
        "at each kind's tuned rate, 2 tasks",
        "at the common rate, 2 tasks",
    ]
    assert legend_labels(figure.legends[0]) == ["random", "own"]
    assert len(draw("tuning_budget", budget_table(sizes=())).axes) == 2
    wide = budget_table().replace({"value": {5.0: 6.0}})
    assert [axes.get_yscale() for axes in draw("tuning_budget", wide).axes] == ["log", "log", "linear", "linear"]


def assert_shows(axes, matrix):
    """A heat map's cells, and the numbers written in them."""
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), matrix)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {
        (column, row): f"{round(value) + 0:.0f}"
        for row, values in enumerate(matrix)
        for column, value in enumerate(values)
    }


def test_cross_task_deactivation():
    """Rows are the tasks whose neurons are off, in the order in which the table names the tasks tested."""
    figure = draw("cross_task_deactivation", crossed_table("masked_task").iloc[[3, 0, 1, 2]])
    axes, bar = figure.axes
    assert_shows(axes, [[-99.6, 0.4], [-10, -60]])
    assert labels(axes.get_xticklabels()) == labels(axes.get_yticklabels()) == ["B", "A"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("task tested", "neurons switched off")
    assert bar.get_ylabel() == "change of the score, in points"
    # The number of a dark cell is white, that of a light one black.
    colours = {text.get_position(): text.get_color() for text in axes.texts}
    assert (colours[0, 0], colours[1, 0]) == ("white", "black")
    assert axes.images[0].get_clim() == (-100, 100)


def test_cross_task_tuning():
    """Above neurons off, below neurons trained on their own task's data; a column of panels a kind of task."""
    tables = []
    for rows in ("masked_task", "tuned_task"):
        shift = 0.0 if rows == "masked_task" else 5.0
        reading = {} if rows == "masked_task" else {"reading": "own-data"}
        parts = [
            crossed_table(rows, "accuracy", shift, **reading),
            crossed_table(rows, "rougeL", shift + 20, **reading),
        ]
        parts[1][[rows, "task"]] += "2"
        tables.append(pd.concat(parts))
    other = tables[1].assign(reading="tested-data", change=99.0)
    figure = draw("cross_task_tuning", tables[0], pd.concat([tables[1], other]))
    *panels, bar = figure.axes
    titles = [
        f"{row}, {kind}" for row in ("deactivation", "neuron tuning") for kind in ("classification", "generation")
    ]
    assert [axes.get_title() for axes in panels] == titles
    whole = np.array([[-60, -10], [0.4, -99.6]])
    for axes, shift in zip(panels, (0, 20, 5, 25), strict=True):
        assert_shows(axes, whole + shift)
    assert labels(panels[1].get_yticklabels()) == ["A2", "B2"]
    assert [axes.get_ylabel() for axes in panels[::2]] == ["neurons off", "neurons trained"]
    assert bar.get_ylabel() == "change of the score, in points"
    of_one_kind = [table[table["metric"] == "rougeL"] for table in tables]
    assert [axes.get_title() for axes in draw("cross_task_tuning", *of_one_kind).axes[:2]] == titles[1::2]


def test_jaccard():
    cells = [("B", "B", 100.0), ("B", "A", 12.0), ("A", "B", 12.0), ("A", "A", 100.0)]
    axes, bar = draw("jaccard", pd.DataFrame(cells, columns=["task", "other_task", "value"])).axes
    assert_shows(axes, [[100, 12], [12, 100]])
    assert labels(axes.get_xticklabels()) == labels(axes.get_yticklabels()) == ["B", "A"]
    assert bar.get_ylabel() == "Jaccard, in percent"
    assert axes.images[0].get_clim() == (0, 100)


def test_neurons_per_layer():
    table = pd.DataFrame({"task": ["B", "B", "A", "A"], "layer": [0, 1, 0, 1], "value": [5.0, 15.0, 20.0, 0.0]})
    (axes,) = draw("neurons_per_layer", table).axes
    assert lines_of(axes) == {"B": [(0, 5), (1, 15)], "A": [(0, 20), (1, 0)]}
    assert legend_labels(axes.get_legend()) == ["B", "A"]
    assert len({line.get_color() for line in axes.lines}) == 2
    assert axes.get_ylabel() == "% of the layer's neurons"


def test_single_task_proportion():
    table = pd.DataFrame({"task": ["A"] * 3 + ["B"] * 3, "metric": ["accuracy"] * 3 + ["rougeL"] * 3})
    table["proportion_pct"] = [0.0, 0.5, 100] * 2
    table["value"] = [10.0, 20, 30, 40, 50, 60]
    table["ci_low"], table["ci_high"] = table["value"] - 4, table["value"] + 2
    (axes,) = draw("single_task_proportion", table).axes
    assert lines_of(axes) == {
        "A (accuracy)": [(0, 10), (0.5, 20), (100, 30)],
        "B (rougeL)": [(0, 40), (0.5, 50), (100, 60)],
    }
    assert labels(axes.get_xticklabels()) == ["0", "0.5", "100"]
    for band, start in zip(axes.collections, (10, 40), strict=True):
        corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
        assert {(0, start - 4), (0, start + 2), (100, start + 16), (100, start + 22)} <= corners


def test_selection_damage():
    """Means over the masked tasks, a panel a relation that there is, a line a rule; scores are not drawn."""
    cells = [
        *[("global", k, masked, "own", "loss", k / 10 + n) for k in (3.0, 10.0) for n, masked in enumerate("AB")],
        *[("global", k, masked, "other", "loss", 0.5) for k in (3.0, 10.0) for masked in "AB"],
        *[("random", k, masked, "own", "loss", 0.25 * n) for k in (3.0, 10.0) for n, masked in enumerate("AB")],
        ("global", 10.0, "A", "own", "score", 77.0),
    ]
    table = pd.DataFrame(cells, columns=["rule", "k", "masked_task", "relation", "measure", "value"])
    figure = draw("selection_damage", table)
    own, other = figure.axes
    assert [axes.get_title() for axes in (own, other)] == ["own", "other"]
    assert {rule: dict(points) for rule, points in lines_of(own).items()} == {
        "global": pytest.approx({3.0: 0.8, 10.0: 1.5}),
        "random": pytest.approx({3.0: 0.125, 10.0: 0.125}),
    }
    assert lines_of(other)["global"] == [(3, 0.5), (10, 0.5)]
    assert labels(own.get_xticklabels()) == ["3", "10"]
    assert own.get_ylabel() == "rise of the loss, nats a token"
    assert legend_labels(figure.legends[0]) == ["global", "random"]


def test_specificity():
    """A panel a matching, a dot with its interval a combination, filled where p is small, own ÷ other beside it."""
    names = ["ablation", "reference", "rule", "matching", "status", "contrast", "p", "own_over_other"]
    rows = [
        ("zero", "zero", "global", "k = 10", "the paper's", 0.5, 0.2, 1.04),
        ("mean", "mean", "contrastive", "k = 10", "exploratory", 1.0, 0.01, 3.0),
        ("zero", "none", "random", "k = 10", "the paper's", np.nan, np.nan, np.nan),
        ("zero", "zero", "global", "equal own damage", "exploratory", np.nan, np.nan, np.nan),
        ("mean", "mean", "contrastive", "equal own damage", "headline", 2.0, 0.001, 4.66),
    ]
    table = pd.DataFrame(rows, columns=names)
    table["contrast_ci_low"], table["contrast_ci_high"] = table["contrast"] - 0.25, table["contrast"] + 0.5
    figure = draw("specificity", table)
    left, right = figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["k = 10", "equal own damage"]
    assert labels(left.get_yticklabels()) == ["zero · zero · global", "mean · mean · contrastive"]
    dots = [[line for line in axes.lines if line.get_marker() == "o"] for axes in (left, right)]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots[0]] == [(0.5, 0), (1.0, 1)]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots[1]] == [(2.0, 1)]
    assert [dot.get_markerfacecolor() == "white" for dot in dots[0]] == [True, False]
    intervals = [tuple(line.get_xdata()) for line in left.lines if len(line.get_xdata()) == 2 and line not in dots[0]]
    assert {(0.25, 1.0), (0.75, 1.5)} <= set(intervals)
    assert {"1.0", "3.0"} <= {text.get_text() for text in left.texts}
    assert "4.7" in {text.get_text() for text in right.texts}
    assert left.get_ylim() == (1.5, -0.5)  # the first row is on top
    assert legend_labels(figure.legends[0]) == ["headline", "the paper's", "exploratory", "p ≥ 0.05"]


def test_faithfulness():
    """A dot a task, and a line at the mean of every criterion and state."""
    table = pd.DataFrame({"state": ["base"] * 4 + ["multitask"] * 2, "task": list("ABABAA")})
    table["criterion"] = ["attribution", "attribution", "random", "random", "attribution", "random"]
    table["spearman"] = [0.9, 0.7, 0.1, -0.1, 0.5, 0.0]
    table["recall"] = table["spearman"] / 2
    figure = draw("faithfulness", table)
    spearman, recall = figure.axes
    assert labels(spearman.get_yticklabels()) == ["attribution", "random"]
    assert (spearman.get_xlabel(), recall.get_xlabel()) == ("Spearman's correlation", "recall of the most important")
    for axes, share in ((spearman, 1), (recall, 0.5)):
        means = lines_of(axes)
        np.testing.assert_allclose([x for x, _ in means["base"]], [0.8 * share, 0], atol=1e-12)
        np.testing.assert_allclose([x for x, _ in means["multitask"]], [0.5 * share, 0])
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        np.testing.assert_allclose(dots[0].get_xdata(), np.array([0.9, 0.7, 0.1, -0.1]) * share)
        assert [round(height) for height in dots[0].get_ydata()] == [0, 0, 1, 1]
        assert set(dots[0].get_ydata()).isdisjoint(dots[1].get_ydata())
    assert legend_labels(figure.legends[0]) == ["base", "multitask"]


def test_set_faithfulness():
    """Means over tasks: a row of panels an ablation, a colour a rule; sums beside the joint change."""
    table = pd.DataFrame({"task": ["A", "B"] * 8, "share_pct": [1.0, 1.0, 10.0, 10.0] * 4})
    table["rule"] = (["global"] * 4 + ["random"] * 4) * 2
    table["ablation"] = ["zero"] * 8 + ["mean"] * 8
    table["joint_change"] = np.arange(16.0)
    table["signed_sum"], table["absolute_sum"] = table["joint_change"] / 2, table["joint_change"] * 2
    table["sufficiency"], table["necessity"] = table["joint_change"] / 20, table["joint_change"] / 4
    figure = draw("set_faithfulness", table)
    zero, mean = figure.axes[:3], figure.axes[3:]
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == ["zero ablation"] * 3 + ["mean ablation"] * 3
    assert lines_of(mean[0]) == {"global": [(1, 8.5), (10, 10.5)], "random": [(1, 12.5), (10, 14.5)]}
    assert lines_of(zero[1])["random"] == [(1, pytest.approx(0.225)), (10, pytest.approx(0.325))]
    assert lines_of(mean[2])["global"] == [(1, 2.125), (10, 2.625)]
    dashed, dotted = (next(line for line in zero[0].lines if line.get_linestyle() == style) for style in ("--", ":"))
    assert (list(dashed.get_ydata()), list(dotted.get_ydata())) == ([0.25, 1.25], [1, 5])
    assert dashed.get_color() == dotted.get_color() == "C0"
    assert [axes.get_yscale() for axes in (*zero[1:], *mean[1:])] == ["linear"] * 3 + ["symlog"]  # up to 3.6 times all
    assert labels(mean[0].get_xticklabels()) == ["1", "10"]
    assert legend_labels(figure.legends[0])[:2] == ["global", "random"]


def test_stability():
    table = pd.DataFrame({"task": ["A", "A", "B", "B"], "n_examples": [2, 8, 2, 8], "value": [40.0, 60, 50, 80]})
    table["smallest"], table["largest"], table["chance"] = table["value"] - 5, table["value"] + 10, 5.0
    (axes,) = draw("stability", table).axes
    lines = lines_of(axes)
    assert (lines["A"], lines["B"]) == ([(2, 40), (8, 60)], [(2, 50), (8, 80)])
    assert [height for _, height in lines["chance"]] == [5, 5]
    assert labels(axes.get_xticklabels()) == ["2", "8"]
    for band, first, last in zip(axes.collections, (40, 50), (60, 80), strict=True):
        corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
        assert {(2, first - 5), (2, first + 10), (8, last - 5), (8, last + 10)} <= corners


def test_the_step_draws_the_same_files_from_the_same_tables(tmp_path):
    """Tables are passed on in their order: the deactivation's first, then the figure's own."""
    tables = [tmp_path / "deactivation.parquet", tmp_path / "tuning.parquet"]
    write_frame(tables[0], crossed_table("masked_task"), "table", {})
    write_frame(tables[1], crossed_table("tuned_task", shift=5.0, reading="own-data"), "table", {})
    written = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        files = {"svg": folder / "figure.svg", "png": folder / "figure.png"}
        main(FigureSettings(figure="cross_task_tuning"), tables=tables, **files)
        written.append([path.read_bytes() for path in files.values()])
    assert written[0] == written[1]
    assert written[0][1].startswith(b"\x89PNG")
    for text in ("neuron tuning, classification", "neurons trained", "-60"):
        assert f">{text}<" in written[0][0].decode().replace("−", "-")
    assert not plt.get_fignums()


def test_names_are_shown_as_they_are(tmp_path):
    """`$` begins no mathematics, `<` no element."""
    names = ["a $x_1$ b", r"c \$ d$", "e <i> & 'f\" é"]
    cells = [{"task": own, "other_task": other, "value": 1.0} for own in names for other in names]
    write_frame(tmp_path / "jaccard.parquet", pd.DataFrame(cells), "table", {})
    svg = tmp_path / "jaccard.svg"
    main(
        FigureSettings(figure="jaccard"),
        tables=[tmp_path / "jaccard.parquet"],
        svg=svg,
        png=tmp_path / "jaccard.png",
    )
    texts = ["".join(element.itertext()) for element in ElementTree.parse(svg).iter() if element.tag.endswith("text")]
    assert [texts.count(name) for name in names] == [2, 2, 2]
