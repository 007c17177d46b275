"""The runner of all steps: the typed call, clear errors, a log, statistics, progress."""

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


def test_progress_without_a_terminal_is_plain_lines_with_time_left(monkeypatch, caplog):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO):
        assert list(progress.progress("abcd", "letters", 4)) == list("abcd")
    assert "letters: 2 of 4 (50 %), 0:20 left" in caplog.text
    assert "letters: 4 done in 0:50" in caplog.text
