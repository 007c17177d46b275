"""What is generated from the settings is current, and says something of every key."""

from taskneurons.config import reference
from taskneurons.report import readme


def test_the_schema_is_current():
    assert reference.SCHEMA.read_text() == reference.schema(), "run `make docs`"


def test_the_reference_page_is_current():
    assert reference.PAGE.read_text() == reference.page(), "run `make docs`"


def test_every_key_has_a_meaning():
    assert [key for key, _, _, meaning in reference.rows() if not meaning] == []


def test_types_bounds_and_defaults_in_words():
    rows = {key: (kind, default) for key, kind, default, _ in reference.rows()}
    assert rows["selection.k"] == ("number (above 0, at most 100)", "`10`")
    assert rows["training.seeds"] == ("list of (whole number (at least 0))", "`[0]`")
    assert rows["model.source.pretrain.training.batch_size"] == ("whole number (at least 1)", "`8`")
    assert rows["tasks.<name>.sizes.test"] == ("whole number (at least 1)", "`data.sizes.test`")
    assert rows["run"][1] == ""


def test_the_readmes_tables_are_current():
    text = readme.PAGE.read_text()
    assert readme.page(text) == text, "run `make docs`"
