"""A content hash of the code that a step runs, so that a workflow reruns the step when that code changes.

Snakemake does not see edits of imported modules, nor upgrades of packages. The *closure* of a module is the module
with everything in this library that it imports, directly or not. Its identity is a hash of the closure's syntax
trees and the versions of the packages that it imports.

What cannot change a number counts for nothing: comments, layout and docstrings; the folders in PLUMBING (runner, log,
progress, provenance, the declaration of the config, whose values stand in the specs); and, within a module, what is
said: the arguments of errors that are raised, of logging calls, and the name of a progress bar.
"""

import ast
import atexit
import hashlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from sys import stdlib_module_names
from typing import Any

from taskneurons.core.content import bytes_hash
from taskneurons.core.memory import keep, recall

# Raised by hand where the form or the meaning of the files that this folder writes changes: every step then reruns.
FORMAT = 1

LIBRARY = "taskneurons"
PLUMBING = (f"{LIBRARY}.core", f"{LIBRARY}.config")
LOGGERS = ("log", "logging")
DISTRIBUTIONS = {"yaml": "PyYAML"}  # where a package's import name is not its distribution's
REMEMBERED = 3000  # files whose syntax is remembered: the library's, several times over
# Packages that decide what a package does without being imported here (reading GGUF, dispatch, tokens, weights).
BEHIND = {"transformers": ("accelerate", "gguf", "safetensors", "tokenizers")}


@dataclass(frozen=True)
class _Module:
    """What a file imports and the hash of what it says."""

    imports: frozenset[str]
    digest: str


@cache
def _read(path: Path) -> _Module:
    known, content = _known(), bytes_hash(path)
    before = known.pop(content, None)
    if before is None:
        tree = ast.parse(path.read_text(), filename=str(path))
        imports = sorted(_imports(tree))
        said_nothing = ast.dump(_Silence().visit(tree))
        before = [imports, hashlib.blake2b(said_nothing.encode(), digest_size=12).hexdigest()]
        atexit.unregister(_remember)
        atexit.register(_remember)
    known[content] = before  # what was used last is last
    return _Module(frozenset(before[0]), before[1])


@cache
def _memory() -> tuple[str, ...]:
    """The name of what was read before: parsing the library takes as long as all the rest of a small dry-run."""
    return ("syntax", bytes_hash(Path(__file__)), sys.version)


@cache
def _known() -> dict[str, list[Any]]:
    """Hash of a file's bytes → what it imports, and its digest."""
    known = recall(*_memory())
    return known if isinstance(known, dict) else {}


def _remember() -> None:
    keep(dict(list(_known().items())[-REMEMBERED:]), *_memory())


@cache
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


class _Silence(ast.NodeTransformer):
    """Takes what is said out of a syntax tree: docstrings, error texts, log messages, names of progress bars."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            return node
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = node.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in LOGGERS:
            node.args, node.keywords = [], []
        elif isinstance(called, ast.Name) and called.id == "progress":
            node.args, node.keywords = node.args[:1], []
        return self.generic_visit(node)


def _is_plumbing(module: str) -> bool:
    return module == LIBRARY or any(module == folder or module.startswith(f"{folder}.") for folder in PLUMBING)


def closure(root: Path, module: str) -> dict[str, Path]:
    """The library modules that `module` runs, itself included, with their files."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _module_path(root, name)
        if path is None or name in found or _is_plumbing(name):
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
def code_identity(root: Path, *modules: str) -> dict[str, Any]:
    """`{"format": …, "hash": …, "packages": {name: version}}` of the code that a step runs.

    Args:
        root: the folder that holds the library's package folder.
        modules: the step's module, e.g. `taskneurons.attribution.scores`, and those that it finds by name (a table, a
            selection rule, a criterion).

    Raises:
        FileNotFoundError: the library has no such module.
    """
    found: dict[str, Path] = {}
    for module in modules:
        if _module_path(root, module) is None:
            raise FileNotFoundError(f"no module {module!r} below {root}")
        found |= closure(root, module)
    digests = {name: _read(path).digest for name, path in sorted(found.items())}
    return {
        "format": FORMAT,
        "hash": hashlib.blake2b(repr(digests).encode(), digest_size=12).hexdigest(),
        "packages": dict(sorted(_package_versions(list(found.values())).items())),
    }
