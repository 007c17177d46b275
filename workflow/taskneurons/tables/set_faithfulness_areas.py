"""Sufficiency and necessity over the share of neurons as areas, and up to which share scores add up to the effect."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import TableSettings
from taskneurons.tables.set_effects import areas, read_effects, value_and_interval


def rows(settings: TableSettings, *, set_effects: list[Path]) -> list[dict[str, Any]]:
    """One row a task, ablation and rule."""
    result = []
    for one in read_effects(set_effects, settings["tables.bootstrap"]):
        for rule in one.sets:
            columns: dict[str, float] = {}
            for name, values in areas(one, rule).items():
                columns |= value_and_interval(name, values, settings["tables.confidence"])
            named = {"task": settings.tasks[one.task]["name"], "ablation": one.ablation, "rule": rule}
            result.append({**named, **columns, "n_test": one.n_test})
    return result
