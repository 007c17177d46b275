"""What pydantic finds wrong, as sentences that say where, the value seen, and what to do."""

import difflib
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from taskneurons.config.reference import section_of
from taskneurons.config.settings import LONGEST_VALUE, PATTERNS, Config, brief

Place = tuple[str | int, ...]  # the keys from the config's top to a place in it

KINDS = {
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


def word(name: str) -> str:
    """A key or a file's name as a message shows it: as it is, where that is short and can be seen."""
    return name if name.isprintable() and 0 < len(name) <= LONGEST_VALUE else brief(name)


def _at(where: list[str | int]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The settings class that holds a key, and the key's field; no field of a key that the user chose, as a task's."""
    section: type[BaseModel] = Config
    chosen = False
    for part in where[:-1]:
        if chosen:
            chosen = False
            continue
        field = section.model_fields.get(str(part))
        below = None if field is None else section_of(field.annotation)
        if below is None:  # within a list, or a mapping to values
            return section, None
        chosen, section = bool(below[0]), below[1]
    return section, None if chosen else section.model_fields.get(str(where[-1]))


def _path(error: ErrorDetails, config: Any) -> list[str | int]:
    """The keys from the config's top to the mistake, without the names that pydantic gives to alternatives."""
    found: list[str | int] = []
    here = config
    for part in error["loc"]:
        if isinstance(here, dict) and str(part) in here:
            here = here[str(part)]
        elif isinstance(here, list) and isinstance(part, int):
            here = here[part]
        elif error["type"] not in ("missing", "extra_forbidden"):
            continue
        found.append(part)
    return found


def _unknown_key(where: list[str | int]) -> str:
    known = list(_at(where)[0].model_fields)
    close = difflib.get_close_matches(str(where[-1]), known, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"there is no such key{meant}; there are {', '.join(known)}"


def _what(error: ErrorDetails, where: list[str | int]) -> str:
    value, kind, context = error["input"], error["type"], error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown_key(where)
    if kind == "value_error":
        return str(context["error"])
    bounds = {
        "greater_than": "is too small: it has to be above {gt}",
        "greater_than_equal": "is less than the minimum of {ge}",
        "less_than": "is too large: it has to be below {lt}",
        "less_than_equal": "is greater than the maximum of {le}",
        "literal_error": "is not one of {expected}",
        "string_too_long": "is too long: at most {max_length} characters",
        "int_parsing_size": "is too large",
        "string_unicode": "holds half a character (a surrogate)",
        "finite_number": "is no finite number",
    }
    if kind == "string_pattern_mismatch":
        return f"{brief(value)} does not fit: {PATTERNS[context['pattern']]}"
    if kind in bounds:
        return f"{brief(value)} {bounds[kind].format(**context)}"
    if kind in ("string_too_short", "too_short"):
        return "is empty"
    if value is None and kind in KINDS:
        return _empty(where)
    if kind not in KINDS:
        return f"{brief(value)}: {error['msg']}"
    return f"{brief(value)} is not {KINDS[kind]}{_advice(value, KINDS[kind], where)}"


def _empty(where: list[str | int]) -> str:
    field = _at(where)[1]
    if field is None or field.is_required():
        return "is empty: give a value"
    return "is empty: give a value, or leave the key out for its default"


def _advice(value: Any, wanted: str, where: list[str | int]) -> str:
    """What to do about a value of a wrong type, where it is one that YAML makes of a word."""
    field = _at(where)[1]
    if value is False and wanted != "a text" and field is not None and NoneType in get_args(field.annotation):
        return ": write null to do without"
    if isinstance(value, bool):
        return " (YAML reads yes, no, on and off as true and false: write such a word in quotes)"
    return ": write it in quotes" if wanted == "a text" and isinstance(value, int | float) else ""


def shown(where: list[str | int] | Place) -> str:
    """A path within the config as messages show it: `config: training: seeds[0]`."""
    text = "config"
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f": {word(part)}"
    return text


def mistakes(problem: ValidationError, config: Any) -> dict[Place, str]:
    """Place within the config → the sentence about it; several about one place, as of a union, are one."""
    found: dict[Place, str] = {}
    for error in problem.errors():
        where = _path(error, config)
        what = _what(error, where)
        key = tuple(where)
        if key in found and "tasks" in where and error["type"] in ("literal_error", "list_type"):
            what = f"{brief(error['input'])} is not all, or a list of tasks"
        found[key] = f"{shown(where)}: {what}"
    return found
