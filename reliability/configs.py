"""Mutated configs: each is refused with a message that names the place, or accepted and means what it says.

python reliability/configs.py [count] [seed]
"""

import copy
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from taskneurons.checks.config import Run, checked_config
from taskneurons.checks.messages import shown
from taskneurons.config.settings import Config
from taskneurons.core.errors import UserError

ROOT = Path(__file__).parents[1]
PRESETS = ROOT / "workflow" / "presets"

Given = dict[str, Any]  # as a YAML reader gives it
Place = tuple[Any, ...]  # the keys and list positions from the config's top
Mutation = tuple[str, Given, list[Place]]  # what was done, the config, the places that a message may name

REFUSED, HARMLESS, UNCLEAR, TRACEBACK, WRONG = (
    *("refused clearly", "harmless", "refused unclearly", "traceback", "silently wrong"),
)

# Values of every kind and at every edge.
VALUES = [
    *(None, True, False, 0, 1, -1, 2.0, 2.5, 101, 1e308, 5e-324, 2**32, 10**30, 10**5000),
    *(math.nan, math.inf, -math.inf, 1 / 3, 10 + 1e-13),
    *("", "  ", "2", "2.0", "1e-4", "1_0", "nan", "9" * 50, "true", "no", "all", "auto", "random", "global"),
    *("x" * 5000, "/".join(["x" * 50] * 50), "a\0b", "a\nb", "tiny\n", " a", "a ", "\x1b[31m", "\ud800", "\uffff"),
    *("{x}", "{", "{{x}}", "<results>", "$x$", "$", "naïve 日本 🙂", "..", ".", "/", "-x", "~", "*", "a::b"),
    *('it\'s "so"; rm', "%s", "_hidden", "mps", "cuda:0", "cuda:1\n", "cuda:٣"),
    *([], {}, [[]], [None], [1, 1], ["a"], {"a": 1}, {1: 2}, {None: 1}, (1, 2), {1, 2}, b"a"),
    *(date(2020, 1, 1), datetime(2020, 1, 1, 12)),
]
KEYS = [
    *("extra", "weights", "data_root", "sizes", "labels", "hub", "path", "gguf", "revision", "patience", "shards"),
    *("top10", "base", "random", "multitask_1", "none", "name", "a b", "{x}", "a\nb", "", "x" * 300, "日本", "\ud800"),
    *(1, 1.5, None, True, date(2020, 1, 1), (1, 2), b"a"),
]


def starts(folder: Path) -> dict[str, Given]:
    """Right configs: the embedded default, as it is and with all keys given, the presets, and ten lines.

    Args:
        folder: gets the ten lines' data.
    """
    embedded = yaml.safe_load((ROOT / "config.yaml").read_text())
    tiny_full = yaml.safe_load((PRESETS / "tiny-full.yaml").read_text())
    preset = yaml.safe_load((PRESETS / "smollm2-135m.yaml").read_text())
    tasks = yaml.safe_load((ROOT / preset["tasks"]).read_text())
    return {
        "config.yaml": embedded,
        "all keys": checked_config(embedded, ROOT).config.model_dump(mode="json"),
        "tiny-full": _merged(embedded, tiny_full),
        "smollm2-135m": preset,
        "smollm2-135m, tasks in it": {**preset, "tasks": tasks},
        "ten lines": _ten_lines(folder),
    }


def _merged(config: Any, others: Any) -> Any:
    """What Snakemake makes of a config that is merged into another."""
    if not isinstance(config, dict) or not isinstance(others, dict):
        return others
    return {**config, **{key: _merged(config.get(key), value) for key, value in others.items()}}


def _ten_lines(folder: Path) -> Given:
    for name in ("reviews", "dialogues"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for split in ("train", "validation", "test"):
            rows = [{"text": f"{split} {number}", "label": number % 2, "more": "so"} for number in range(9)]
            pd.DataFrame(rows).to_parquet(folder / name / f"{split}.parquet")
    return {
        "run": "mine",
        "data_root": str(folder),
        "model": {"name": "my-model", "source": {"hub": "someone/model", "revision": "main"}},
        "tasks": {
            "reviews": {
                **{
                    "family": "sentiment",
                    "source": {"local": {"path": "reviews"}},
                    "prompt": "Review: {text}\nOpinion:",
                },
                **{"target": "label", "labels": {"0": "bad", "1": "good"}},
            },
            "dialogues": {
                **{"family": "summarisation", "source": {"local": {"path": "dialogues"}}},
                **{"prompt": "{text}\nSummary:", "target": "more"},
            },
        },
    }


def places(value: Any, where: Place = ()) -> Iterator[Place]:
    """The places of everything within a config, sections and lists too."""
    if where:
        yield where
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*where, key))


def at(config: Any, where: Place) -> Any:
    for part in where:
        config = config[part]
    return config


def _place(rng: random.Random, config: Given, wanted: Callable[[Any], bool] = lambda value: True) -> Place:
    return rng.choice([where for where in places(config) if wanted(at(config, where))])


def _replace(rng: random.Random, config: Given) -> tuple[str, list[Place]]:
    where = _place(rng, config)
    at(config, where[:-1])[where[-1]] = value = copy.deepcopy(rng.choice(VALUES))
    return f"{shown(where)} is {_brief(value)}", [where]


def _delete(rng: random.Random, config: Given) -> tuple[str, list[Place]]:
    where = _place(rng, config)
    del at(config, where[:-1])[where[-1]]
    return f"{shown(where)} is deleted", [where]


def _add(rng: random.Random, config: Given) -> tuple[str, list[Place]]:
    section = rng.choice([(), *(where for where in places(config) if isinstance(at(config, where), dict))])
    key, value = rng.choice(KEYS), copy.deepcopy(rng.choice(VALUES))
    at(config, section)[key] = value
    where = (*section, str(key))
    return f"{shown(where)} ({type(key).__name__}) is added as {_brief(value)}", [where]


def _repeat(rng: random.Random, config: Given) -> tuple[str, list[Place]]:
    where = _place(rng, config, lambda value: isinstance(value, dict | list) and len(value) > 0)
    value = at(config, where)
    if isinstance(value, list):
        value.append(copy.deepcopy(rng.choice(value)))
        return f"{shown(where)} has an item twice", [where]
    key = rng.choice(list(value))
    value[f"{key}2"] = copy.deepcopy(value[key])
    return f"{shown((*where, key))} is there as {key}2 too", [(*where, key), (*where, f"{key}2")]


def _swap(rng: random.Random, config: Given) -> tuple[str, list[Place]]:
    leaves = [where for where in places(config) if not isinstance(at(config, where), dict | list)]
    one, other = rng.sample(leaves, 2)
    values = at(config, one), at(config, other)
    at(config, one[:-1])[one[-1]], at(config, other[:-1])[other[-1]] = values[::-1]
    return f"{shown(one)} and {shown(other)} are swapped", [one, other]


def _misspell(rng: random.Random, config: Given) -> tuple[str, list[Place]]:
    where = rng.choice([where for where in places(config) if isinstance(where[-1], str)])
    *above, key = where
    position = rng.randrange(len(key) + 1)
    wrong = rng.choice([key[:position] + key[position + 1 :], key[:position] + "z" + key[position:], key.upper()])
    section = at(config, tuple(above))
    section[wrong] = section.pop(key)
    return f"{shown(where)} is written {wrong!r}", [(*above, wrong), where]


MUTATIONS = [_replace] * 6 + [_delete, _add, _add, _repeat, _swap, _misspell]


def _brief(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) < 60 else f"{text[:60]}…"


def mutations(count: int, seed: int, folder: Path) -> Iterator[Mutation]:
    """Mutated configs, the same for the same seed."""
    rng = random.Random(seed)
    bases = starts(folder)
    for _ in range(count):
        name = rng.choice(list(bases))
        config = copy.deepcopy(bases[name])
        what, where = rng.choice(MUTATIONS)(rng, config)
        yield f"{name}: {what}", config, where


def says_the_same(given: Any, typed: Any) -> bool:
    """Whether the typed value is the given one, after the conversions that docs/configuration.md names."""
    if isinstance(given, Mapping):
        return isinstance(typed, dict) and all(
            str(key) in typed and says_the_same(value, typed[str(key)]) for key, value in given.items()
        )
    if isinstance(given, list | tuple):
        return isinstance(typed, list) and len(given) == len(typed) and all(map(says_the_same, given, typed))
    if isinstance(typed, bool):
        words = ("true", "yes", "on", "y", "t", "1", "1.0") if typed else ("false", "no", "off", "n", "f", "0", "0.0")
        return str(given).lower() in words
    if isinstance(typed, int | float):
        return isinstance(given, int | float | str) and not isinstance(given, bool) and float(given) == typed
    return given is None if typed is None else isinstance(given, str) and given == typed


def _difference(given: Given, run: Run) -> str | None:
    """How an accepted config differs from what was given, or from itself when it is read again."""
    typed = run.config.model_dump()
    if isinstance(given["tasks"], str):  # a file of tasks
        given = {key: value for key, value in given.items() if key != "tasks"}
    if not says_the_same(given, typed):
        return f"says something else: {_brief(typed)}"
    if Config.model_validate(typed) != run.config:
        return "is another config when all its values are given"
    again = checked_config(run.config.model_dump(exclude_unset=True), ROOT)
    return None if (again.config, again.tasks) == (run.config, run.tasks) else "is another config when it is read again"


def names_a_place(message: str, wheres: list[Place]) -> bool:
    """Whether every line is one of the config's, and one names a mutated place, its section, or a key of the place."""
    lines = message.splitlines()
    if not all(line.startswith("config: ") and line.isprintable() for line in lines):
        return False
    for where in wheres:
        texts = tuple(part for part in where if isinstance(part, str))
        if any(line.startswith(shown(texts)) for line in lines):
            return True
        if len(texts) > 1 and any(line.startswith(shown(texts[:-1])) for line in lines):
            return True
        # What only several keys together tell names them, wherever it stands.
        if any(re.search(rf"\b{re.escape(text)}\b", message) for text in texts[-1:] + texts[1:2]):
            return True
    return False


def outcome(config: Given, wheres: list[Place]) -> tuple[str, str]:
    """What becomes of a config, and what is said of it."""
    before = copy.deepcopy(config)
    try:
        run = checked_config(config, ROOT)
    except UserError as problem:
        return REFUSED if names_a_place(str(problem), wheres) else UNCLEAR, str(problem)
    except Exception as problem:
        return TRACEBACK, f"{type(problem).__name__}: {problem}"
    try:
        difference = _difference(config, run) if _equal(before, config) else "was changed by the check"
    except (UserError, ValueError) as problem:
        difference = f"is refused when it is read again: {problem}"
    return (WRONG, difference) if difference else (HARMLESS, "; ".join(run.warnings))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_equal, one.values(), other.values()))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one is other or one == other


def try_all(count: int, seed: int, folder: Path) -> list[dict[str, str]]:
    """Name, outcome and message of so many mutated configs.

    Args:
        folder: for the data that one of them reads.
    """
    tried = []
    for name, config, wheres in mutations(count, seed, folder):
        found, message = outcome(config, wheres)
        tried.append({"name": name, "outcome": found, "message": message})
    return tried
