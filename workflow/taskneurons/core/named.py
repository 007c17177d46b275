"""Modules that are found by name in a folder: a new file there is all that a new rule, criterion or table takes."""

import ast
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARY = Path(__file__).parents[1]


def names(folder: str) -> list[str]:
    """The names of the modules in a folder of the library, as the config writes them: with hyphens."""
    files = LIBRARY.joinpath(*folder.split(".")).glob("*.py")
    return sorted(file.stem.replace("_", "-") for file in files if file.stem != "__init__")


def module_of(folder: str, name: str) -> str:
    """The module of a name in a folder of the library."""
    return f"taskneurons.{folder}.{name.replace('-', '_')}"


def named(folder: str, name: str) -> ModuleType:
    """Import a module by its name."""
    return import_module(module_of(folder, name))


def constants(folder: str, name: str) -> dict[str, Any]:
    """The constants of a module that are literals, without importing it and all that it needs.

    Raises:
        FileNotFoundError: there is no such module.
    """
    file = LIBRARY.joinpath(*folder.split("."), f"{name.replace('-', '_')}.py")
    found = {}
    for statement in ast.parse(file.read_text(), filename=str(file)).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=key)], value=value) if key.isupper():
                with suppress(ValueError):  # it is no literal
                    found[key] = ast.literal_eval(value)
    return found
