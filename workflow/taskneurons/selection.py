"""Select a task's neurons: the top k % by score (section 1 of the paper)."""

import argparse
from pathlib import Path

from taskneurons import command
from taskneurons.artifacts import read_frame
from taskneurons.neuron_set import top_share, write_mask


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    frame, made = read_frame(arguments.scores, "scores")
    scores = frame["score"].to_numpy()
    neurons = top_share(scores, spec["k"], tuple(made["widths"]), spec["scope"])
    name = {"set": made["task"], "rule": "global" if spec["scope"] == "global" else "per-layer", "k": spec["k"]}
    metadata = {"spec": spec, **name, "model": made["model"], "data_hash": made["data_hash"]}
    write_mask(arguments.out, neurons, made["experts"], scores, metadata)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--scores", type=Path, required=True, help="the task's scores (Parquet)")
    options.add_argument("--out", type=Path, required=True, help="write the mask here (Parquet)")
    command.run(main, options)
