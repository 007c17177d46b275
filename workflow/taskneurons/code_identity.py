"""A content hash of the code that a step runs, so that a workflow reruns the step when that code changes.

Snakemake does not see edits of imported modules, nor upgrades of packages. The *closure* of a module is the module
with everything in this library that it imports, directly or not. Its identity is a hash of the closure's syntax
trees without docstrings (so comments and layout do not count) and the versions of the packages that it imports.
"""

import ast
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from sys import stdlib_module_names
from typing import Any

LIBRARY = "taskneurons"
DISTRIBUTIONS = {"yaml": "PyYAML"}  # where a package's import name is not its distribution's
# Packages that decide what a package does without being imported here (reading GGUF, dispatch, tokens, weights).
BEHIND = {"transformers": ("accelerate", "gguf", "safetensors", "tokenizers")}


@dataclass(frozen=True)
class _Module:
    """What a file imports and the hash of what it says."""

    imports: frozenset[str]
    digest: str


@cache
def _read(path: Path) -> _Module:
    tree = ast.parse(path.read_text(), filename=str(path))
    return _Module(_imports(tree), hashlib.blake2b(_without_docstrings(tree).encode(), digest_size=12).hexdigest())


def _module_path(root: Path, module: str) -> Path | None:
    """The file of a module of the library below `root` (the folder that holds the library), if there is one."""
    stem = root.joinpath(*module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.Module) -> frozenset[str]:
    """The names that a module imports anywhere, also inside functions; `from a import b` gives `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def _without_docstrings(tree: ast.Module) -> str:
    """The tree as text; its docstrings are taken out in place."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def closure(root: Path, module: str) -> dict[str, Path]:
    """The library modules that `module` runs, itself included, with their files."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _module_path(root, name)
        if path is None or name in found:
            continue
        found[name] = path
        waiting += [imported for imported in _read(path).imports if imported.split(".")[0] == LIBRARY]
    return found


@cache
def _version(package: str) -> str:
    try:
        return version(DISTRIBUTIONS.get(package, package))
    except PackageNotFoundError:
        return "not installed"


def _package_versions(paths: list[Path]) -> dict[str, str]:
    imported = {name.split(".")[0] for path in paths for name in _read(path).imports}
    packages = imported.union(*(BEHIND.get(package, ()) for package in imported))
    return {package: _version(package) for package in packages - stdlib_module_names - {LIBRARY}}


@cache
def code_identity(root: Path, module: str) -> dict[str, Any]:
    """`{"hash": …, "packages": {name: version}}` of the code that `python -m <module>` runs.

    Args:
        root: the folder that holds the library's package folder.
        module: a module of the library, e.g. `taskneurons.attribution`.

    Raises:
        FileNotFoundError: the library has no such module.
    """
    modules = closure(root, module)
    if module not in modules:
        raise FileNotFoundError(f"no module {module!r} below {root}")
    digests = {name: _read(path).digest for name, path in sorted(modules.items())}
    return {
        "hash": hashlib.blake2b(repr(digests).encode(), digest_size=12).hexdigest(),
        "packages": dict(sorted(_package_versions(list(modules.values())).items())),
    }
