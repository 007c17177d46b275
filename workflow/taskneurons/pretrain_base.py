"""Make the embedded base model: a tokenizer and a small Llama, pre-trained on the suite's plain text."""

import argparse
import logging
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from taskneurons import command
from taskneurons.artifacts import content_hash, read_frame, write_frame
from taskneurons.checkpoint import Checkpoint
from taskneurons.models import save_model, start_compute
from taskneurons.training import Pair, WholeModel, summary, train

END = "<end>"

log = logging.getLogger(__name__)


def build_tokenizer(documents: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on the documents: any text can be encoded, a known word is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def build_model(architecture: dict[str, Any], tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A Llama with random weights; `architecture` holds keys of LlamaConfig."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **architecture,
    )
    return LlamaForCausalLM(config)


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    compute = start_compute(spec["compute"])
    frame, _metadata = read_frame(arguments.text, "pre-training text")
    documents = frame["text"].tolist()
    tokenizer = build_tokenizer(documents, spec["pretrain"]["vocabulary"])
    model = build_model(spec["pretrain"]["architecture"], tokenizer, spec["seed"])
    log.info("base model of %.2f M parameters, %d tokens", model.num_parameters() / 1e6, len(tokenizer))
    # Every token of a document is a target; the first has none before it to be predicted from.
    pairs: list[Pair] = [([], [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]) for text in documents]
    made_of = {"origin": "pre-trained on the suite's text", "spec": spec, "dtype": compute.dtype_name}
    checkpoint = Checkpoint(arguments.checkpoint, content_hash([made_of, documents]))
    history = train(
        model,
        WholeModel(model),
        pairs,
        {**spec["pretrain"]["training"], "patience": 0},
        compute,
        spec["seed"],
        "pre-training",
        checkpoint=checkpoint,
    )
    write_frame(arguments.metrics, history, "training", made_of)
    save_model(arguments.out, model, tokenizer, {"state": "base", **made_of, **summary(history)})
    checkpoint.remove()


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--text", type=Path, required=True, help="the pre-training text (Parquet)")
    options.add_argument("--metrics", type=Path, required=True, help="write loss and learning rate here (Parquet)")
    options.add_argument("--checkpoint", type=Path, required=True, help="keep the state here, to go on after a kill")
    options.add_argument("--out", type=Path, required=True, help="write the model folder here")
    command.run(main, options)
