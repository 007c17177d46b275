"""What the hub refuses is told in one message that names what was asked for."""

from typing import Any

import pytest

from taskneurons.config.settings import ResolvedSource
from taskneurons.core.errors import UserError
from taskneurons.data import sources
from taskneurons.models import import_base


def unreachable(*args: Any, **options: Any) -> None:
    raise OSError("no such repository")


def test_a_data_set_that_the_hub_refuses(monkeypatch):
    monkeypatch.setattr(sources, "load_dataset", unreachable)
    source = ResolvedSource(hub="someone/data", revision="v2")
    with pytest.raises(UserError, match=r"someone/data .*revision v2, split train.* no such repository; check"):
        next(sources.shuffled_rows(source, "train", ["text"], 0))


def test_a_model_that_the_hub_refuses(monkeypatch):
    monkeypatch.setattr(import_base.AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(UserError, match=r"someone/model at v2 cannot be read: no such repository; check"):
        import_base.from_folder_or_hub("someone/model", "v2", False)
