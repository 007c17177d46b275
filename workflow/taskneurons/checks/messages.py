"""What pydantic finds wrong, as sentences that say where, the value seen, and what to do."""

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from taskneurons.config.reference import section_of
from taskneurons.config.settings import Config

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


def _section_at(where: list[str | int]) -> type[BaseModel]:
    """The settings class that holds a key."""
    section: type[BaseModel] = Config
    for part in where[:-1]:
        field = section.model_fields.get(str(part))
        below = None if field is None else section_of(field.annotation)
        if below is not None:  # else a key that the user chose, as a task's
            section = below[1]
    return section


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
    known = list(_section_at(where).model_fields)
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
        "string_pattern_mismatch": "does not fit: take letters, digits, and what else {pattern} allows",
        "finite_number": "is no finite number",
    }
    if kind in bounds:
        return f"{value!r} {bounds[kind].format(**context)}"
    if kind in ("string_too_short", "too_short"):
        return "is empty"
    if value is None and kind in KINDS:
        return "is empty: give a value, or leave the key out for its default"
    if kind not in KINDS:
        return f"{value!r}: {error['msg']}"
    hint = ""
    if isinstance(value, bool):
        hint = " (YAML reads yes, no, on and off as true and false: write such a word in quotes)"
    return f"{value!r} is not {KINDS[kind]}{hint}"


def shown(where: list[str | int]) -> str:
    """A path within the config as messages show it: `config: training: seeds[0]`."""
    text = "config"
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f": {part}"
    return text


def mistakes(problem: ValidationError, config: Any) -> dict[tuple[str | int, ...], str]:
    """Path within the config → the sentence about it; several about one place, as of a union, are one."""
    found: dict[tuple[str | int, ...], str] = {}
    for error in problem.errors():
        where = _path(error, config)
        what = _what(error, where)
        key = tuple(where)
        if key in found and "tasks" in where and error["type"] in ("literal_error", "list_type"):
            what = f"{error['input']!r} is not all, or a list of tasks"
        found[key] = f"{shown(where)}: {what}"
    return found
