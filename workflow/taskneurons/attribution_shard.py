"""Score one shard of a task's attribution examples: the sums that `merge_attribution` makes the scores of."""

import argparse
from pathlib import Path

import pandas as pd

from taskneurons import command
from taskneurons.artifacts import write_frame
from taskneurons.attribution import score_task
from taskneurons.neuron_set import neuron_index


def main(arguments: argparse.Namespace) -> None:
    sums, metadata = score_task(arguments.model, arguments.data, arguments.spec, arguments.shard)
    columns = {"score": sums.score, "signed": sums.signed}
    columns |= {f"replicate_{number}": row for number, row in enumerate(sums.resampled)}
    frame = pd.concat([neuron_index(metadata["widths"], metadata["experts"]), pd.DataFrame(columns)], axis=1)
    metadata |= {"shard": arguments.shard, "samples": sums.samples}
    write_frame(arguments.out, frame, "score sums", metadata)


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the model's folder")
    options.add_argument("--data", type=Path, required=True, help="the task's attribution split (Parquet)")
    options.add_argument("--shard", type=int, required=True, help="which shard, from 0")
    options.add_argument("--out", type=Path, required=True, help="write the sums here (Parquet)")
    command.run(main, options)
