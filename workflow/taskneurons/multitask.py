"""Fine-tune the base model on all tasks at once: the paper's "original" model (section 2)."""

import argparse
import logging
from pathlib import Path

from taskneurons import command
from taskneurons.artifacts import content_hash, write_frame
from taskneurons.checkpoint import Checkpoint
from taskneurons.classification import label_tokens
from taskneurons.models import load_model, save_model
from taskneurons.task import read_task
from taskneurons.training import WholeModel, summary, train

log = logging.getLogger(__name__)


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    base = load_model(arguments.model, spec["compute"])
    tasks = [read_task(path) for path in arguments.data]
    for task in tasks:
        label_tokens(base.tokenizer, task)  # labels that cannot be told apart are better told before the training
    pairs = [example.pair for task in tasks for example in task.encoded(base.tokenizer)]
    watched = [read_task(path).encoded(base.tokenizer) for path in arguments.validation]
    validation = [example.pair for examples in watched for example in examples[: spec["training"]["validation"]]]
    log.info("%d examples of %d tasks", len(pairs), len(tasks))
    made_of = {
        "parent": base.identity["identity"],
        "data": {task.key: task.data_hash for task in tasks},
        "spec": spec,
        "dtype": base.compute.dtype_name,
    }
    checkpoint = Checkpoint(arguments.checkpoint, content_hash([made_of, validation]))
    history = train(
        base.model,
        WholeModel(base.model),
        pairs,
        spec["training"],
        base.compute,
        spec["seed"],
        "multi-task training",
        validation,
        checkpoint,
    )
    write_frame(arguments.metrics, history, "training", made_of)
    save_model(arguments.out, base.model, base.tokenizer, {"state": "multitask", **made_of, **summary(history)})
    checkpoint.remove()


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--model", type=Path, required=True, help="the base model's folder")
    options.add_argument("--data", type=Path, nargs="+", required=True, help="the train split of every task (Parquet)")
    options.add_argument("--validation", type=Path, nargs="*", default=[], help="the validation splits (Parquet)")
    options.add_argument("--metrics", type=Path, required=True, help="write loss and learning rate here (Parquet)")
    options.add_argument("--checkpoint", type=Path, required=True, help="keep the state here, to go on after a kill")
    options.add_argument("--out", type=Path, required=True, help="write the fine-tuned model's folder here")
    command.run(main, options)
