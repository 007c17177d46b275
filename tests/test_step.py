"""The runner of all steps: the typed call, clear errors, a log, statistics, progress."""

import contextlib
import errno
import json
import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError

from taskneurons.config.settings import Sizes, StepSettings
from taskneurons.core import progress, step
from taskneurons.core.artifacts import replacing
from taskneurons.core.errors import UserError


class Settings(StepSettings):
    k: float
    sizes: Sizes


@pytest.fixture(autouse=True)
def fresh_logging():
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers.clear()
    yield
    for handler in root.handlers:
        with contextlib.suppress(OSError):  # one on a full disk
            handler.close()
    root.handlers[:] = before


@pytest.fixture
def install(monkeypatch):
    """Make a function the step `trial`."""

    def as_step(main):
        module = ModuleType("taskneurons.trial")
        module.main = main
        monkeypatch.setitem(sys.modules, "taskneurons.trial", module)

    return as_step


SPEC = {"step": "trial", "code": {"hash": "abc"}, "k": 1, "sizes": {"train": 7}}


def test_a_job_becomes_a_typed_call(install, tmp_path):
    called = []

    def main(settings: Settings, *, one: Path, several: list[Path], none: Path | None = None) -> None:
        called.append((settings, one, several, none))

    install(main)
    step.call(SPEC, {"one": "a/b", "several": ["c", "d"]})
    ((settings, one, several, none),) = called
    assert (settings.k, settings.sizes.train, settings.sizes.test) == (1.0, 7, Sizes().test)
    assert (one, several, none) == (Path("a/b"), [Path("c"), Path("d")], None)
    assert settings.spec()["code"] == {"hash": "abc"} and settings.spec()["step"] == "trial"


def test_a_step_may_take_files_of_any_name(install):
    def main(settings: StepSettings, *, out: Path, **inputs: Path | list[Path]) -> None:
        assert inputs == {"some": [Path("a")], "one": Path("b")}

    install(main)
    step.call({"step": "trial"}, {"out": "o", "some": ["a"], "one": "b"})


@pytest.mark.parametrize(
    ("spec", "files", "problem"),
    [
        ({**SPEC, "size": 1}, {"out": "o"}, "size"),
        ({"step": "trial", "k": 1}, {"out": "o"}, "sizes"),
        (SPEC, {"out": ["o"]}, "path"),
        (SPEC, {"out": "o", "outs": "p"}, "takes no outs"),
        (SPEC, {}, "out"),
    ],
)
def test_a_job_that_does_not_fit_its_step_is_refused(spec, files, problem, install):
    def main(settings: Settings, *, out: Path) -> None:
        raise AssertionError("it was called")

    install(main)
    with pytest.raises((ValidationError, TypeError), match=problem):
        step.call(spec, files)


def run(tmp_path) -> Path:
    log = tmp_path / "logs" / "step.log"
    step.main([json.dumps({"step": "trial"}), "{}", "--log", str(log)])
    return log


def test_log_and_statistics(install, tmp_path):
    def main(settings: StepSettings) -> None:
        logging.info("the step is %s", settings.step)

    install(main)
    log = run(tmp_path)
    assert "the step is trial" in log.read_text()
    stats = json.loads(log.with_suffix(".stats.json").read_text())
    assert set(stats) == {"wall_seconds", "cpu_seconds", "peak_memory_mib", "commit", "machine"}


@pytest.mark.parametrize(
    ("problem", "message", "traceback"),
    [
        (UserError("the moon is missing"), "Error: the moon is missing", False),
        (OSError(errno.ENOSPC, "No space left on device"), "Error: the disk is full", False),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "Error: the disk is full", False),
        (OSError("Error writing bytes. Detail: [errno 28] No space left on device"), "Error: the disk is full", False),
        (OSError(errno.EROFS, "Read-only file system"), "Error: no permission, or a disk that can only be read", False),
        (OSError(errno.EIO, "Input/output error"), "OSError: [Errno 5]", True),
        (KeyError("bug"), "KeyError: 'bug'", True),
    ],
)
def test_errors(problem, message, traceback, install, tmp_path):
    def main(settings: StepSettings) -> None:
        with replacing(tmp_path / "out") as partial:
            partial.write_text("half")
            raise problem

    install(main)
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path)
    assert stopped.value.code == 1
    text = (tmp_path / "logs" / "step.log").read_text()
    assert message in text
    assert ("Traceback" in text) == traceback
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]  # nothing half-written


def test_a_log_that_cannot_be_made_is_told(install, tmp_path, monkeypatch, capsys):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    install(lambda settings: None)
    monkeypatch.setattr(step.logging, "FileHandler", full)
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path)
    assert stopped.value.code == 1
    errors = capsys.readouterr().err
    assert "Error: the disk is full" in errors and "Traceback" not in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_told_where_the_log_is_on_it_too(install, tmp_path, capsys):
    """Lines that the log cannot take are lost; no traceback is printed for them."""

    def main(settings: StepSettings) -> None:
        logging.info("a line")
        with Path("/dev/full").open("w") as file:
            file.write("the result")

    install(main)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "step.log").symlink_to("/dev/full")
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path)
    assert stopped.value.code == 1
    errors = capsys.readouterr().err
    assert errors.count("Error: the disk is full") == 1
    assert "Traceback" not in errors and "Logging error" not in errors


def test_progress_without_a_terminal_is_plain_lines_with_time_left(monkeypatch, caplog):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO):
        assert list(progress.progress("abcd", "letters", 4)) == list("abcd")
    assert "letters: 2 of 4 (50 %), 0:20 left" in caplog.text
    assert "letters: 4 done in 0:50" in caplog.text
