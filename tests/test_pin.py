"""Branches of the hub in a config, and the commits in their place."""

import pytest
import yaml

from conftest import ROOT
from taskneurons.checks import pin
from taskneurons.checks.config import checked_config
from taskneurons.core.errors import UserError

PRESETS = ["paper-tasks", "continual-tasks", "llama-2-7b", "pythia-160m", "smollm2-135m"]


def commit(kind: str, name: str, revision: str) -> str:
    """A commit that says what was asked."""
    return f"{kind} {name} {revision}".encode().hex().ljust(40, "0")[:40]


def hubs(found: object) -> list[dict]:
    """All mappings with a revision, in order."""
    if not isinstance(found, dict):
        return []
    own = [found] if "revision" in found else []
    return own + [one for value in found.values() for one in hubs(value)]


@pytest.mark.parametrize("preset", PRESETS)
def test_commits_come_in_place_of_branches_and_nothing_else_changes(preset):
    text = (ROOT / f"workflow/presets/{preset}.yaml").read_text()
    before, after = (hubs(yaml.safe_load(one)) for one in (text, pin.pinned(text, commit)))
    assert before and len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        kind, name = ("dataset", one["id"]) if "id" in one else ("model", one["hub"])
        kept = pin.COMMIT.fullmatch(one["revision"])
        expected = one["revision"] if kept else commit(kind, name, one["revision"])
        assert other == {**one, "revision": expected}
    assert pin.pinned(pin.pinned(text, commit), commit) == pin.pinned(text, commit)


def test_a_branch_is_told_at_the_start_and_a_commit_is_not():
    task = {"family": "f", "prompt": "{text} :", "target": "label"}

    def warnings(model: str, data: str) -> list[str]:
        source = {"hub": {"id": "someone/data", "revision": data}}
        model_section = {"name": "m", "source": {"hub": "someone/model", "revision": model}}
        config = {"run": "r", "model": model_section, "tasks": {"one": {**task, "source": source}}}
        return [one for one in checked_config(config, ROOT).warnings if "branches or tags" in one]

    [told] = warnings("main", "v1")
    assert "may change: 2 (" in told and "someone/model at main, someone/data at v1" in told
    [told] = warnings("a" * 40, "v1")
    assert "may change: 1 (" in told and "someone/model" not in told
    assert warnings("a" * 40, "b" * 40) == []


def test_without_the_hub_nothing_is_written(tmp_path, monkeypatch):
    import huggingface_hub

    def unreachable(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", unreachable)
    with pytest.raises(UserError, match="someone/x at main: no network"):
        pin.commit_on_the_hub("model", "someone/x", "main")
    file = tmp_path / "mine.yaml"
    file.write_text("source: {hub: someone/x, revision: main}\n")
    monkeypatch.setattr("sys.argv", ["pin", str(file)])
    with pytest.raises(SystemExit, match="Error: the hub does not tell"):
        pin.main()
    assert file.read_text() == "source: {hub: someone/x, revision: main}\n"
