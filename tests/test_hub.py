"""What the hub refuses is told in one message that names what was asked for."""

from typing import Any

import datasets
import pytest

from conftest import ROOT
from taskneurons.checks.config import checked_config
from taskneurons.config.settings import ResolvedSource
from taskneurons.core.errors import UserError
from taskneurons.data.sources import shuffled_rows
from taskneurons.models import import_base


def unreachable(*args: Any, **options: Any) -> None:
    raise OSError("no such repository")


def test_a_data_set_that_the_hub_refuses(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    source = ResolvedSource(hub="someone/data", revision="v2")
    with pytest.raises(UserError, match=r"someone/data .*revision v2, split train.* no such repository; check"):
        next(shuffled_rows(source, "train", ["text"], 0))


def test_a_local_folder_is_not_taken_for_the_hubs(tmp_path, monkeypatch):
    """The hub's library reads a folder here that has the id's name."""
    for split in ("train", "validation", "test"):
        (tmp_path / "owner" / "ok").mkdir(parents=True, exist_ok=True)
        (tmp_path / "owner" / "ok" / f"{split}.csv").write_text("text,label\na,0\n")
    monkeypatch.chdir(tmp_path)
    message = (
        r"hub's data set 'owner/ok' has the name of what is at .*/owner/ok, .* write source: \{local: \{path: owner/ok"
    )
    config = {
        "run": "mine",
        "model": {"name": "m", "source": {"hub": "someone/model", "revision": "main"}},
        "tasks": {
            "mine": {
                "family": "f",
                "source": {"hub": {"id": "owner/ok", "revision": "main"}},
                "prompt": "{text} :",
                "target": "label",
            }
        },
    }
    with pytest.raises(UserError, match=rf"config: tasks: mine: the {message}"):
        checked_config(config, ROOT)
    with pytest.raises(UserError, match=message):
        next(shuffled_rows(ResolvedSource(hub="owner/ok", revision="main"), "train", ["text"], 0))
    monkeypatch.chdir(tmp_path / "owner" / "ok")
    assert checked_config(config, ROOT).tasks["mine"].data.source.hub == "owner/ok"


def test_the_name_of_a_format_is_no_id(tmp_path, monkeypatch):
    """The hub's library would read the files that are here."""
    (tmp_path / "train.csv").write_text("text,label\na,0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"'csv' has the name of a format, .* give the whole id, owner/name"):
        next(shuffled_rows(ResolvedSource(hub="csv", revision="main"), "train", ["text"], 0))


def test_nulls_of_a_data_set_of_the_hub_have_a_place(monkeypatch):
    data = datasets.Dataset.from_dict({"text": ["a", None, "c"], "label": ["x"] * 3, "more": [None] * 3})
    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: data)
    source = ResolvedSource(hub="someone/data", revision="v2", splits={"train": "train[:80%]"})
    rows = dict(shuffled_rows(source, "train", ["text", "label"], 0))
    assert rows["someone/data (train[:80%]), row 2"] == {"text": None, "label": "x"}
    assert list(rows.values()) == list(data.select_columns(["text", "label"]).shuffle(seed=0))


def test_columns_may_have_other_names_on_the_hub(monkeypatch):
    data = datasets.Dataset.from_dict({"text_a": ["a", "b"], "text": ["c", "d"], "label": ["x", "y"]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: data)
    source = ResolvedSource(hub="someone/data", splits={"train": "train"}, columns={"text": "text_a", "more": "gone"})
    rows = [row for _, row in shuffled_rows(source, "train", ["text", "label"], 0)]
    assert sorted(rows, key=str) == [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    with pytest.raises(UserError, match="gone"):
        next(shuffled_rows(source, "train", ["more", "label"], 0))


def test_a_model_that_the_hub_refuses(monkeypatch):
    monkeypatch.setattr(import_base.AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(UserError, match=r"someone/model at v2 cannot be read: no such repository; check"):
        import_base.from_folder_or_hub("someone/model", "v2", False)
