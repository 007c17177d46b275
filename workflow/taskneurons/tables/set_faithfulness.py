"""What growing sets of neurons do together: against the sum of their scores, and as shares of what all neurons do."""

from pathlib import Path
from typing import Any

from taskneurons.tables.common import TableSettings
from taskneurons.tables.set_effects import read_effects, value_and_interval


def rows(settings: TableSettings, *, set_effects: list[Path]) -> list[dict[str, Any]]:
    """One row a task, ablation, rule and share, in nats; sufficiency and necessity are shares."""
    result = []
    for one in read_effects(set_effects, settings["tables.bootstrap"]):
        for rule, of_rule in one.sets.items():
            for share, effect in of_rule.items():
                joint, signed = one.joint(effect), float(effect.signed[0])
                numbers = {
                    "joint_change": joint,
                    "signed_sum": effect.signed,
                    "sufficiency": one.sufficiency(effect),
                    "necessity": one.necessity(effect),
                }
                columns: dict[str, float] = {}
                for name, values in numbers.items():
                    columns |= value_and_interval(name, values, settings["tables.confidence"])
                result.append(
                    {
                        "task": settings.tasks[one.task]["name"],
                        "ablation": one.ablation,
                        "rule": rule,
                        "share_pct": share,
                        "n_neurons": effect.n_neurons,
                        "n_draws": effect.n_draws if rule.startswith("random") else 0,
                        **columns,
                        "absolute_sum": float(effect.absolute[0]),
                        "ratio": signed / float(joint[0]) if joint[0] else float("nan"),
                        "tells": bool(one.tells(effect)[0]),
                        "loss_whole": float(one.whole[0]),
                        "loss_empty": float(one.empty[0]),
                        "n_test": one.n_test,
                    }
                )
    return result
