"""The content hash of a step's code: what it follows and what it ignores."""

import ast
from pathlib import Path

import pytest

from conftest import ROOT
from taskneurons.core import code_identity as module
from taskneurons.core.code_identity import closure, code_identity


def library(root: Path, files: dict[str, str]) -> Path:
    (root / "taskneurons").mkdir(parents=True)
    (root / "taskneurons" / "__init__.py").touch()
    for name, text in files.items():
        file = root / "taskneurons" / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture(autouse=True)
def no_memory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module._known.cache_clear()
    yield
    module._known.cache_clear()


def identity(root: Path, name: str) -> str:
    for cached in (module._read, module.code_identity):
        cached.cache_clear()
    return code_identity(root, f"taskneurons.{name}")["hash"]


def test_follows_imports_also_within_functions(tmp_path):
    files = {
        "a": "from taskneurons import b\n",
        "b": "def f():\n    from taskneurons.c import g\n    return g\n",
        "c": "g = 1\n",
        "d": "h = 2\n",
    }
    root = library(tmp_path, files)
    assert set(closure(root, "taskneurons.a")) == {f"taskneurons.{n}" for n in "abc"}
    before = identity(root, "a")
    (root / "taskneurons" / "d.py").write_text("h = 3\n")
    assert identity(root, "a") == before
    (root / "taskneurons" / "c.py").write_text("g = 2\n")
    assert identity(root, "a") != before


def test_files_are_read_once_for_all_processes_until_they_change(tmp_path, monkeypatch):
    root, read = library(tmp_path, {"a": "from taskneurons import b\n", "b": "x = 1\n"}), []
    own = ast.parse
    monkeypatch.setattr(module.ast, "parse", lambda *given, **named: read.append(named) or own(*given, **named))

    def next_process() -> str:
        module._remember()
        module._known.cache_clear()
        read.clear()
        return identity(root, "a")

    first = next_process()
    assert len(read) == 2
    assert next_process() == first and not read
    (root / "taskneurons" / "b.py").write_text("x = 22\n")
    assert next_process() != first and len(read) == 1
    (root / "taskneurons" / "b.py").write_text("x = 1\n")
    assert next_process() == first and not read  # another folder's copy, or a former text
    for note in (tmp_path / "cache" / "taskneurons").iterdir():
        note.write_text("[1]")
    module._known.cache_clear()
    assert identity(root, "a") == first and len(read) == 2


def test_comments_docstrings_and_layout_do_not_count(tmp_path):
    root = library(tmp_path, {"a": '"""Doc."""\n\n\ndef f(x):\n    """Doc."""\n    return x + 1\n'})
    before = identity(root, "a")
    (root / "taskneurons" / "a.py").write_text(
        '"""Other."""\n# note\ndef f(x):\n    """More."""\n\n    return (x + 1)\n'
    )
    assert identity(root, "a") == before
    (root / "taskneurons" / "a.py").write_text("def f(x):\n    return x + 2\n")
    assert identity(root, "a") != before


STEP = """
import logging
from taskneurons.core.progress import progress

log = logging.getLogger(__name__)


def f(items):
    for item in progress(items, "{name}", {total}):
        log.info("{said}", item)
        if item < {bound}:
            raise ValueError("{error}")
        logging.warning("{said}")
    return {value}
"""
SAID = {"name": "a", "total": "len(items)", "said": "b", "bound": "1", "error": "c", "value": "2"}


@pytest.mark.parametrize(
    ("key", "new", "counts"),
    [
        ("name", "other", False),
        ("total", "99", False),
        ("said", "other", False),
        ("error", "other", False),
        ("bound", "3", True),
        ("value", "3", True),
    ],
)
def test_what_is_only_said_does_not_count(key, new, counts, tmp_path):
    root = library(tmp_path, {"a": STEP.format(**SAID)})
    before = identity(root, "a")
    (root / "taskneurons" / "a.py").write_text(STEP.format(**{**SAID, key: new}))
    assert (identity(root, "a") != before) == counts


@pytest.mark.parametrize(("module_name", "counts"), [("core.log", False), ("config.settings", False), ("data.b", True)])
def test_plumbing_does_not_count(module_name, counts, tmp_path):
    root = library(tmp_path, {"a": f"from taskneurons.{module_name} import g\n", module_name: "g = 1\n"})
    before = identity(root, "a")
    (root / "taskneurons" / f"{module_name.replace('.', '/')}.py").write_text("g = 2\n")
    assert (identity(root, "a") != before) == counts


def test_modules_that_are_found_by_name_count(tmp_path):
    root = library(tmp_path, {"a": "x = 1\n", "rules.one": "y = 1\n", "rules.two": "y = 1\n"})
    alone = code_identity(root, "taskneurons.a")
    both = code_identity(root, "taskneurons.a", "taskneurons.rules.one")
    assert alone["hash"] != both["hash"] != code_identity(root, "taskneurons.a", "taskneurons.rules.two")["hash"]


def test_the_format_of_files_counts(monkeypatch):
    before = code_identity(ROOT / "workflow", "taskneurons.data.prepare")
    module.code_identity.cache_clear()
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    after = code_identity(ROOT / "workflow", "taskneurons.data.prepare")
    module.code_identity.cache_clear()
    assert (after["hash"], after["format"]) == (before["hash"], before["format"] + 1)


def test_names_the_packages_versions():
    packages = code_identity(ROOT / "workflow", "taskneurons.attribution.scores")["packages"]
    assert {"torch", "transformers", "numpy", "pandas", "gguf", "tokenizers"} <= set(packages)
    assert "not installed" not in packages.values()


def test_a_folders_file_holds_a_docstring_alone():
    """So that importing one module of a folder does not make all of them count."""
    for path in (ROOT / "workflow" / "taskneurons").rglob("__init__.py"):
        tree = ast.parse(path.read_text())
        assert not tree.body or [type(node) for node in tree.body] == [ast.Expr], path
    assert "taskneurons.models.loaded" not in closure(ROOT / "workflow", "taskneurons.tables.deactivation")


def test_an_absent_module_is_told():
    with pytest.raises(FileNotFoundError, match="no module"):
        code_identity(ROOT / "workflow", "taskneurons.absent")
