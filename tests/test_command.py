"""What every step's command shares: clear errors, a log, statistics, progress."""

import argparse
import errno
import json
import logging

import pytest

from taskneurons import command, progress
from taskneurons.core.artifacts import replacing
from taskneurons.core.errors import UserError


@pytest.fixture(autouse=True)
def fresh_logging():
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = before


def run(step, tmp_path, monkeypatch):
    log = tmp_path / "logs" / "step.log"
    monkeypatch.setattr("sys.argv", ["step", "--spec", '{"k": 1}', "--log", str(log)])
    command.run(step, command.parser("A step."))
    return log


def test_log_and_statistics(tmp_path, monkeypatch):
    def step(arguments: argparse.Namespace) -> None:
        logging.info("k is %s", arguments.spec["k"])

    log = run(step, tmp_path, monkeypatch)
    assert "k is 1" in log.read_text()
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
def test_errors(problem, message, traceback, tmp_path, monkeypatch):
    def step(arguments):
        with replacing(tmp_path / "out") as partial:
            partial.write_text("half")
            raise problem

    with pytest.raises(SystemExit) as stopped:
        run(step, tmp_path, monkeypatch)
    assert stopped.value.code == 1
    text = (tmp_path / "logs" / "step.log").read_text()
    assert message in text
    assert ("Traceback" in text) == traceback
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]  # nothing half-written


def test_replacing_swaps_files_and_folders(tmp_path):
    for _ in range(2):
        with replacing(tmp_path / "folder") as partial:
            partial.mkdir()
            (partial / "x").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "x"]


def test_progress_without_a_terminal_is_plain_lines_with_time_left(monkeypatch, caplog):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO):
        assert list(progress.progress("abcd", "letters", 4)) == list("abcd")
    assert "letters: 2 of 4 (50 %), 0:20 left" in caplog.text
    assert "letters: 4 done in 0:50" in caplog.text
