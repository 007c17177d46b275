"""Select one task's neurons by rules that compare all tasks, from their stored scores (see `selection_rules`).

Writes one mask a rule and k; a file's name says which: `<rule><k>.parquet`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskneurons import command
from taskneurons.artifacts import read_frame
from taskneurons.errors import UserError
from taskneurons.neuron_set import write_mask
from taskneurons.selection_rules import RULES, Comparison


def read_values(paths: list[Path], kind: str, tasks: list[str]) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The files of all tasks by task, and the metadata of the last; all must be of one model."""
    found, models = {}, set()
    made: dict[str, Any] = {}
    for path in paths:
        frame, made = read_frame(path, kind)
        found[made["task"]] = frame
        models.add(made["model"])
    if missing := [task for task in tasks if task not in found]:
        raise UserError(f"no file of {kind} is of the task {missing[0]!r}")
    if len(models) > 1:
        raise UserError(f"the {kind} are of different models ({', '.join(sorted(models))}): score all on one")
    return found, made


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    families = spec["families"]
    tasks = list(families)
    frames, made = read_values(arguments.scores, "scores", tasks)
    if arguments.activations:
        activations, made_of = read_values(arguments.activations, "activations", tasks)
        if made_of["model"] != made["model"]:
            raise UserError(
                f"the activations are of model {made_of['model']}, the scores of {made['model']}: make both on one"
            )
        frames = {
            task: frame.join(activations[task].drop(columns=["layer", "expert", "neuron"]))
            for task, frame in frames.items()
        }
    own = arguments.task
    files = {path.name.removesuffix(".parquet"): path for path in arguments.out}
    for name, percents in spec["rules"].items():
        rule, column = RULES[name]
        compared = Comparison(
            np.stack([frames[task][column].to_numpy() for task in tasks]),
            tasks.index(own),
            list(families.values()),
            tuple(made["widths"]),
            spec["scope"],
            spec["core_share"],
        )
        for k in percents:
            metadata = {"spec": spec, "set": own, "rule": name, "k": k, "model": made["model"]}
            write_mask(
                files[f"{name}{k:g}"], rule(compared, k), made["experts"], compared.values[compared.own], metadata
            )


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--scores", type=Path, nargs="+", required=True, help="the scores of all tasks (Parquet)")
    options.add_argument(
        "--activations", type=Path, nargs="*", default=[], help="their activations, if a rule needs them"
    )
    options.add_argument("--task", required=True, help="the task whose neurons are selected")
    options.add_argument("--out", type=Path, nargs="+", required=True, help="write the masks here (Parquet)")
    command.run(main, options)
