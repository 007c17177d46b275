"""The parts of the README that are made of something else: the list of targets, and the tables of committed results.

`make docs` writes them between their marks; a test holds that they are current.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from taskneurons.report.contents import TABLES

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results" / "smollm2-135m" / "tables"


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def targets() -> str:
    """One target for each table and figure."""
    rows = ([", ".join(f"`{target}`" for target in table.targets), table.shows] for table in TABLES)
    return markdown(["target", "shows"], rows)


def _cell(row: pd.Series, sign: str = "") -> str:
    return f"{row['value']:{sign}.1f} [{row['ci_low']:.1f}, {row['ci_high']:.1f}]"


def _by_method(name: str, methods: tuple[str, ...]) -> list[tuple[str, list[pd.Series]]]:
    """Every task with its rows of a table, method by method."""
    table = pd.read_csv(RESULTS / f"{name}.csv")
    if "rate" in table:  # zero-shot has none
        table = table[table["rate"].isna() | (table["rate"] == "tuned")]
    table = table.set_index(["method", "task"])
    tasks = table.index.get_level_values("task").unique()
    return [(task, [table.loc[(method, task)] for method in methods]) for task in tasks]


def deactivation() -> str:
    """Tables 1 and 6 on SmolLM2-135M."""
    zero_shot = pd.read_csv(RESULTS / "zero_shot.csv").set_index("task")["value"]
    rows = [
        [
            *(task, str(found[0]["n_test"]), f"{zero_shot[task]:.1f}", *map(_cell, found)),
            ", ".join(f"{row['paper_llama']:.1f}" for row in found),
        ]
        for task, found in _by_method("deactivation", ("original", "deactivate-random", "deactivate-task"))
    ]
    own = ["random 10 % off", "own 10 % off"]
    head = ["task", "test examples", "zero-shot", "original", *own, "paper (Llama-2-7b): original, random, own"]
    return markdown(head, rows)


def neuron_tuning() -> str:
    """Tables 2 and 7 on SmolLM2-135M."""
    effect = pd.read_csv(RESULTS / "neuron_tuning_effect.csv")
    if "rate" in effect:
        effect = effect[(effect["rate"] == "tuned") & (effect["against"] == "random")]
    effect = effect.set_index("task")
    rows = [
        [
            *(task, f"{found[0]['value']:.1f}", *map(_cell, found[1:]), _cell(effect.loc[task], "+")),
            ", ".join(f"{row['paper_llama']:.1f}" for row in found),
        ]
        for task, found in _by_method("neuron_tuning", ("zero-shot", "train-random", "train-task"))
    ]
    own = ["random 10 % trained", "own 10 % trained", "own less random"]
    return markdown(["task", "zero-shot", *own, "paper (Llama-2-7b): zero-shot, random, own"], rows)


PARTS = {"targets": targets, "deactivation": deactivation, "neuron_tuning": neuron_tuning}


def page(text: str) -> str:
    """The README with its parts made anew.

    Raises:
        ValueError: a part's marks are not there.
    """
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: made by `make docs` -->\n", f"<!-- end of {name} -->\n"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"the README does not hold the marks of {name} once")
        before, _, rest = text.partition(begin)
        text = before + begin + make() + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
