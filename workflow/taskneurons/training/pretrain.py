"""Make the embedded base model: a tokenizer and a small Llama, pre-trained on the suite's plain text."""

import logging
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from taskneurons.config.settings import Architecture, DeviceSettings, LoopSettings, StepSettings
from taskneurons.core.artifacts import read_frame, write_frame
from taskneurons.core.content import content_hash
from taskneurons.data.encoding import Pair
from taskneurons.models.loaded import save_model, start_compute
from taskneurons.training.checkpoint import Checkpoint
from taskneurons.training.loop import WholeModel, summary, train

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


def build_model(architecture: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A Llama with random weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **architecture.model_dump(),
    )
    return LlamaForCausalLM(config)


class PretrainSettings(StepSettings):
    """What the embedded base model depends on; `training` is the pre-training's with its passes."""

    vocabulary: int
    architecture: Architecture
    training: LoopSettings
    seed: int
    compute: DeviceSettings


def main(settings: PretrainSettings, *, text: Path, checkpoint: Path, metrics: Path, model: Path) -> None:
    """Make the base model.

    Args:
        text: the pre-training text.
        checkpoint: where the training's state is kept, to go on after a kill.
        metrics: the training's history, to write.
        model: the model's folder, to write.
    """
    compute = start_compute(settings.compute)
    frame, _provenance = read_frame(text, "pre-training text")
    documents = frame["text"].tolist()
    tokenizer = build_tokenizer(documents, settings.vocabulary)
    llama = build_model(settings.architecture, tokenizer, settings.seed)
    log.info("base model of %.2f M parameters, %d tokens", llama.num_parameters() / 1e6, len(tokenizer))
    # Every token of a document is a target; the first has none before it to be predicted from.
    pairs: list[Pair] = [([], [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]) for text in documents]
    provenance = {
        "origin": "pre-trained on the suite's text",
        "spec": settings.spec(),
        "seed": settings.seed,
        "dtype": compute.dtype_name,
    }
    kept = Checkpoint(checkpoint, content_hash([provenance, documents]))
    history = train(
        llama, WholeModel(llama), pairs, settings.training, compute, settings.seed, "pre-training", checkpoint=kept
    )
    write_frame(metrics, history, "training", provenance)
    save_model(model, llama, tokenizer, {"state": "base", **provenance, **summary(history)})
    kept.remove()
