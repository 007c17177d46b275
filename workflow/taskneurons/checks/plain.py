"""A config as JSON can hold it, of what a YAML reader made of it; and the file of a config's tasks."""

import math
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from taskneurons.checks.messages import Place, shown, word
from taskneurons.config.settings import brief
from taskneurons.core.errors import UserError

DEEPEST = 20  # sections within sections; the config has half as many
LARGEST = 2**64  # numbers with more digits than Python prints are told here

NOTHING = object()  # in place of what cannot be taken


def plain(value: Any, wrong: dict[Place, str], where: Place = ()) -> Any:
    """A deep copy of texts, numbers, lists and mappings with texts as keys; whole numbers as keys become texts.

    What is none of that (YAML has dates, sets and binaries too) is left out, with its key, and told in `wrong`: path
    within the config → the sentence about it.
    """
    problem = _problem(value)
    if len(where) > DEEPEST:
        where, problem = where[:1], "is nested too deeply, or holds itself"
    if problem:
        wrong[where] = f"{shown(where)}: {problem}"
        return NOTHING
    if isinstance(value, Mapping):
        return _plain_mapping(value, wrong, where)
    if isinstance(value, list | tuple):
        items = [plain(item, wrong, (*where, number)) for number, item in enumerate(value)]
        return NOTHING if any(item is NOTHING for item in items) else items
    return value


def _plain_mapping(value: Mapping[Any, Any], wrong: dict[Place, str], where: Place) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, inner in value.items():
        text = key if isinstance(key, str) else str(key)
        place = (*where, text)
        if isinstance(key, bool) or not (isinstance(key, str | int) or (isinstance(key, float) and math.isfinite(key))):
            wrong[place] = f"{shown(place)}: this key is {_kind(key)}: write it in quotes"
        elif text in found:
            wrong[place] = f"{shown(place)}: is there twice, as a number and as a text"
        else:
            found[text] = plain(inner, wrong, place)
    return {key: inner for key, inner in found.items() if inner is not NOTHING}


def _problem(value: Any) -> str | None:
    """Why a value cannot be taken, if it cannot."""
    if isinstance(value, int) and abs(value) >= LARGEST:
        return f"is too large a number: it has {value.bit_length()} bits"
    if value is None or isinstance(value, str | bool | int | float | Mapping | list | tuple):
        return None
    advice = "write a list" if isinstance(value, set | frozenset) else "write it in quotes"
    return f"{brief(value)} is {_kind(value)}: {advice}"


def _kind(value: Any) -> str:
    kinds = {
        bool: "true or false to YAML",
        type(None): "nothing (null) to YAML",
        float: "no finite number",
        datetime: "a date to YAML",
        date: "a date to YAML",
        set: "a set to YAML",
        bytes: "binary to YAML",
    }
    return kinds.get(type(value), f"a {type(value).__name__}, which no setting takes")


def task_file(name: str, root: Path) -> Any:
    """The content of a file of tasks, looked up from here and, without success, from the project's folder.

    Raises:
        UserError: there is no such file, it cannot be read, is no text in UTF-8, no YAML, or holds no mapping.
    """
    where = f"config: tasks: the file {word(name)}"
    try:
        found = [path for path in (Path(name), root / name) if path.is_file()]
        if not found:
            raise UserError(f"{where} does not exist")
        content = yaml.safe_load(found[0].read_text(encoding="utf-8"))
    except OSError as problem:
        raise UserError(f"{where} cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise UserError(f"{where} is not in UTF-8 (byte {problem.start}): save it in that encoding") from problem
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        said = " ".join(str(problem).split())
        raise UserError(f"{where} is no YAML: {said}") from problem
    if not isinstance(content, dict):
        raise UserError(f"{where} holds {brief(content)}, not a mapping of keys to tasks")
    return content
