"""Write the pre-training text of the embedded base model: plain sentences drawn from the suite."""

import argparse
from pathlib import Path

import pandas as pd

from taskneurons import command
from taskneurons.artifacts import write_frame
from taskneurons.suite.generator import pretraining_text


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    documents = pretraining_text(spec["tasks"], spec["documents_per_task"], spec["seed"])
    write_frame(arguments.out, pd.DataFrame({"text": documents}), "pre-training text", {"spec": spec})


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--out", type=Path, required=True, help="write the documents here (Parquet)")
    command.run(main, options)
