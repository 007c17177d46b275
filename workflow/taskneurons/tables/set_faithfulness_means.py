"""The areas of set_faithfulness_areas as means over tasks, and the span of the shares at which scores still tell."""

from pathlib import Path
from typing import Any

import numpy as np

from taskneurons.tables.common import TableSettings
from taskneurons.tables.set_effects import areas, read_effects, value_and_interval


def rows(settings: TableSettings, *, set_effects: list[Path]) -> list[dict[str, Any]]:
    """One row an ablation and rule; areas are means over the tasks that have them."""
    found: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
    for one in read_effects(set_effects, settings["tables.bootstrap"]):
        for rule in one.sets:
            found.setdefault((one.ablation, rule), []).append(areas(one, rule))
    result = []
    for (ablation, rule), of_tasks in found.items():
        with_areas = [one for one in of_tasks if np.isfinite(one["cpr"][0])]
        columns: dict[str, float] = {}
        for name in ("cpr", "cmd", "necessity_area"):
            missing = np.full(1 + settings["tables.bootstrap"], np.nan)
            values = np.mean([one[name] for one in with_areas], axis=0) if with_areas else missing
            columns |= value_and_interval(name, values, settings["tables.confidence"])
        telling = [float(one["telling_share_pct"][0]) for one in of_tasks]
        result.append(
            {
                "ablation": ablation,
                "rule": rule,
                **columns,
                "n_tasks_with_areas": len(with_areas),
                "telling_share_pct_median": float(np.median(telling)),
                "telling_share_pct_min": min(telling),
                "telling_share_pct_max": max(telling),
                "n_tasks": len(of_tasks),
            }
        )
    return result
