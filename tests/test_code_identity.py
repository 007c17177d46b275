"""The content hash of a step's code: what it follows and what it ignores."""

from pathlib import Path

import pytest

from conftest import ROOT
from taskneurons import code_identity as module
from taskneurons.core.code_identity import closure, code_identity


def library(root: Path, **files: str) -> Path:
    (root / "taskneurons").mkdir(parents=True)
    (root / "taskneurons" / "__init__.py").touch()
    for name, text in files.items():
        (root / "taskneurons" / f"{name}.py").write_text(text)
    return root


def identity(root: Path, name: str) -> str:
    for cached in (module._read, module.code_identity):
        cached.cache_clear()
    return code_identity(root, f"taskneurons.{name}")["hash"]


def test_follows_imports_also_within_functions(tmp_path):
    root = library(
        tmp_path,
        a="from taskneurons import b\n",
        b="def f():\n    from taskneurons.c import g\n    return g\n",
        c="g = 1\n",
        d="h = 2\n",
    )
    assert set(closure(root, "taskneurons.a")) == {f"taskneurons.{n}" for n in "abc"} | {"taskneurons"}
    before = identity(root, "a")
    (root / "taskneurons" / "d.py").write_text("h = 3\n")
    assert identity(root, "a") == before
    (root / "taskneurons" / "c.py").write_text("g = 2\n")
    assert identity(root, "a") != before


def test_comments_docstrings_and_layout_do_not_count(tmp_path):
    root = library(tmp_path, a='"""Doc."""\n\n\ndef f(x):\n    """Doc."""\n    return x + 1\n')
    before = identity(root, "a")
    (root / "taskneurons" / "a.py").write_text(
        '"""Other."""\n# note\ndef f(x):\n    """More."""\n\n    return (x + 1)\n'
    )
    assert identity(root, "a") == before
    (root / "taskneurons" / "a.py").write_text("def f(x):\n    return x + 2\n")
    assert identity(root, "a") != before


def test_names_the_packages_versions():
    packages = code_identity(ROOT / "workflow", "taskneurons.attribution")["packages"]
    assert {"torch", "transformers", "numpy", "pandas", "pyarrow", "gguf", "tokenizers"} <= set(packages)
    assert "not installed" not in packages.values()


def test_package_files_are_empty_so_that_closures_stay_small():
    for path in (ROOT / "workflow" / "taskneurons").rglob("__init__.py"):
        assert path.read_text() == ""
    assert "taskneurons.models" not in closure(ROOT / "workflow", "taskneurons.tables.deactivation")


def test_an_absent_module_is_told():
    with pytest.raises(FileNotFoundError, match="no module"):
        code_identity(ROOT / "workflow", "taskneurons.absent")
