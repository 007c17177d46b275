"""The config's JSON schema, for editors, and its reference page, both made of the settings' own types and texts.

`make docs` writes them; a test holds that they are current.
"""

import ast
import inspect
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from taskneurons.config import settings
from taskneurons.config.settings import Config

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"
PAGE = ROOT / "docs" / "configuration.md"

HEAD = """# Configuration

Every key of a config, made from `workflow/taskneurons/config/settings.py` by `make docs`: do not edit it here. Defaults
suit a real model; the embedded suite's values are in `config.yaml`. A key without default has to be given, if the
section that it stands in is. `<name>` is a key that you choose. Editors that know JSON schemas can use
`workflow/schemas/config.schema.json`.

Numbers may be written as texts, whole numbers as `2.0` (then they are 2), true and false as 1 and 0 or in words;
nothing else is converted. Texts have one line and no control characters (a prompt may have several lines), paths none
of `{}*?[]`, percents of neurons at most 12 digits behind the point, and whole numbers are at most 4294967295.

| key | type | default | meaning |
|---|---|---|---|
"""


@cache
def meanings() -> dict[tuple[str, str], str]:
    """Class and key → the text below the key.

    They are read of the source here, not by pydantic (`use_attribute_docstrings`), which looks for them whenever the
    settings are imported: that took half of the import's time, in every job.
    """
    found = {}
    for section in ast.parse(inspect.getsource(settings)).body:
        if isinstance(section, ast.ClassDef):
            for key, text in zip(section.body, section.body[1:], strict=False):
                if isinstance(key, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(key.target, ast.Name):
                    found[section.name, key.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return found


def meaning_of(section: type[BaseModel], key: str) -> str:
    """The text below a key, in its class or in one that the class is derived from."""
    return next((meanings()[one.__name__, key] for one in section.__mro__ if (one.__name__, key) in meanings()), "")


def schema() -> str:
    """The JSON schema of a config; tasks may also be the name of a file."""
    content = Config.model_json_schema()
    for name, part in {**content["$defs"], "Config": content}.items():
        for key, found in part["properties"].items():
            if meaning := meaning_of(getattr(settings, name), key):
                found["description"] = meaning
                part["properties"][key] = dict(sorted(found.items()))
    content["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for properties in (content["properties"], content["$defs"]["ContinualSection"]["properties"]):
        tasks = properties["tasks"]
        properties["tasks"] = {"description": tasks.pop("description"), "anyOf": [{"type": "string"}, tasks]}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _parts(annotation: Any) -> list[Any]:
    """The alternatives of a type, without None, and without what only bounds it."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [part for one in get_args(annotation) if one is not NoneType for part in _parts(one)]
    return [annotation]


def section_of(annotation: Any) -> tuple[str, type[BaseModel]] | None:
    """The settings class of a key, and how its own keys are reached: directly, or by a name that the user chooses."""
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return "", part
        if get_origin(part) is dict:
            below = section_of(get_args(part)[1])
            if below:
                return ".<name>", below[1]
    return None


def _bounds(annotation: Any, metadata: list[Any]) -> str:
    """The bounds of a number, and the pattern of a text, in words."""
    found = list(metadata)
    if get_origin(annotation) is Annotated:
        found += get_args(annotation)[1:]
    words = {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}"}
    said = []
    for one in found:
        for rule in [one, *getattr(one, "metadata", [])]:
            said += [text.format(f"{getattr(rule, name):g}") for name, text in words.items() if hasattr(rule, name)]
    return ", ".join(dict.fromkeys(said))


def _type(annotation: Any, metadata: list[Any] | None = None) -> str:
    """A type in words."""
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", NoneType: "null"}
    bounds = _bounds(annotation, metadata or [])
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    kind = get_origin(annotation)
    if kind in (Union, UnionType):
        text = " or ".join(dict.fromkeys(_type(part) for part in get_args(annotation)))
    elif kind is Literal:
        text = " or ".join(f"`{value}`" for value in get_args(annotation))
    elif kind is list:
        text = f"list of ({_type(get_args(annotation)[0])})"
    elif kind is dict:
        text = f"mapping to ({_type(get_args(annotation)[1])})"
    else:
        text = names.get(annotation, "section")
    return f"{text} ({bounds})" if bounds else text


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    return f"`{json.dumps(value, ensure_ascii=False).replace('.0,', ',').replace('.0]', ']')}`"


def rows(section: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and meaning of every leaf key, in the order of the settings."""
    of_all_tasks = {"tasks.<name>.sizes.": "data.sizes.", "tasks.<name>.tokens.": "data.tokens."}
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        meaning = " ".join(meaning_of(section, name).split())
        below = section_of(field.annotation)
        if key == "continual.tasks":
            yield key, "mapping to (tasks, with the keys of `tasks.<name>`), or a file of them", "", meaning
        elif below is None:
            default = f"`{of_all_tasks[prefix]}{name}`" if prefix in of_all_tasks else _default(field)
            yield key, _type(field.annotation, field.metadata), default, meaning.replace("|", "\\|")
        else:
            yield from rows(below[1], f"{key}{below[0]}.")


def page() -> str:
    """The reference page."""
    lines = [f"| `{key}` | {kind} | {default} | {meaning} |" for key, kind, default, meaning in rows()]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    PAGE.write_text(page())
