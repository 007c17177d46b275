"""What the hub refuses is told in one message that names what was asked for."""

from typing import Any

import pytest

from taskneurons import import_base, task_data
from taskneurons.core.errors import UserError


def unreachable(*args: Any, **options: Any) -> None:
    raise OSError("no such repository")


def test_a_data_set_that_the_hub_refuses(monkeypatch):
    monkeypatch.setattr(task_data, "load_dataset", unreachable)
    source = {"hub": {"id": "someone/data", "revision": "v2"}}
    with pytest.raises(UserError, match=r"someone/data .*revision v2, split train.* no such repository; check"):
        next(task_data.shuffled_rows(source, "train", ["text"], 0))


def test_a_model_that_the_hub_refuses(monkeypatch):
    monkeypatch.setattr(import_base.AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(UserError, match=r"someone/model at v2 cannot be read: no such repository; check"):
        import_base.from_folder_or_hub("someone/model", "v2", False)
