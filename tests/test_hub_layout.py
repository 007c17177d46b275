"""Models and data sets in the hub's own layout are read by the functions that read the hub, without a network.

Models lie in the hub's cache as `hf download` leaves them, with what old checkpoints hold beside their weights. Data
sets are folders with the files and the card that a repository of the hub has, in place of its id.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from conftest import TEXTS, tiny_model
from taskneurons.config.settings import PreparedTask, ResolvedSource
from taskneurons.core.errors import UserError
from taskneurons.data.prepare import source_examples
from taskneurons.data.sources import shuffled_rows
from taskneurons.models.import_base import from_folder_or_hub
from taskneurons.training.pretrain import build_tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Tensors = dict[str, torch.Tensor]


# ---- models ----


def in_the_cache(cache: Path, files: Path, branch: str = "main") -> None:
    """Put a repository's files into the hub's cache, as the model someone/tiny."""
    place = cache / "models--someone--tiny"
    (place / "refs").mkdir(parents=True)
    (place / "blobs").mkdir()
    (place / "snapshots" / COMMIT).mkdir(parents=True)
    (place / "refs" / branch).write_text(COMMIT)
    for file in files.iterdir():
        blob = place / "blobs" / sha256(file.read_bytes()).hexdigest()
        file.replace(blob)
        (place / "snapshots" / COMMIT / file.name).symlink_to(Path("../../blobs") / blob.name)


def checkpoint(files: Path, model: PreTrainedModel, stored: Tensors, shards: int) -> None:
    """Write config, tokenizer and weights of a model, the weights in shards with an index where there are several."""
    files.mkdir()
    model.config.save_pretrained(files)
    build_tokenizer(TEXTS, 300).save_pretrained(files)
    if shards == 1:
        save_file(stored, files / "model.safetensors", {"format": "pt"})
        return
    names = list(stored)
    place = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)}
    for file in sorted(set(place.values())):
        save_file({name: stored[name] for name in names if place[name] == file}, files / file, {"format": "pt"})
    size = sum(tensor.nbytes for tensor in stored.values())
    (files / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": place})
    )


def weights(model: PreTrainedModel) -> Tensors:
    """Copies of a model's weights, each once."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def old_llama() -> tuple[PreTrainedModel, Tensors]:
    """As Llama-2-7b: float16, with the rotary frequencies of each layer."""
    model = tiny_model("llama").half()
    more = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(3)}
    return model, weights(model) | more


def old_bloom() -> tuple[PreTrainedModel, Tensors]:
    """As Bloom-7b1: names without the base model's prefix, and no output embedding, which is the input's."""
    model = tiny_model("bloom")
    return model, {name.removeprefix("transformer."): tensor for name, tensor in weights(model).items()}


def old_pythia() -> tuple[PreTrainedModel, Tensors]:
    """As Pythia-160m: with masks and rotary frequencies of each layer."""
    model = tiny_model("gpt_neox")
    more: Tensors = {}
    for i in range(3):
        attention = f"gpt_neox.layers.{i}.attention"
        more[f"{attention}.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.bool).tril()
        more[f"{attention}.masked_bias"] = torch.tensor(-1e9)
        more[f"{attention}.rotary_emb.inv_freq"] = torch.ones(2)
    return model, weights(model) | more


def tied_qwen() -> tuple[PreTrainedModel, Tensors]:
    """As Qwen3-0.6B: the output embedding is stored, though it is the input's."""
    config = tiny_model("qwen3").config
    config.tie_word_embeddings = True
    model = AutoModelForCausalLM.from_config(config).float()
    stored = weights(model)
    return model, stored | {"lm_head.weight": stored["model.embed_tokens.weight"].clone()}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The hub's cache, without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("made", "shards", "revision"),
    [(old_llama, 2, "main"), (old_bloom, 2, COMMIT), (old_pythia, 1, COMMIT), (tied_qwen, 1, COMMIT)],
)
def test_a_model_of_the_hub_is_read_whole(made, shards, revision, cache, tmp_path):
    model, stored = made()
    checkpoint(tmp_path / "files", model, stored, shards)
    in_the_cache(cache, tmp_path / "files")
    read, tokenizer = from_folder_or_hub("someone/tiny", revision, False)
    found = dict(read.named_parameters())
    expected = weights(model)
    assert found.keys() == expected.keys()
    assert all(found[name].dtype == expected[name].dtype for name in expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert tokenizer("the cat")["input_ids"] == build_tokenizer(TEXTS, 300)("the cat")["input_ids"]


def test_a_shard_that_was_not_fetched_is_told(cache, tmp_path):
    checkpoint(tmp_path / "files", *old_llama(), 2)
    (tmp_path / "files" / "model-00002-of-00002.safetensors").unlink()
    in_the_cache(cache, tmp_path / "files")
    with pytest.raises(UserError, match=r"(?s)someone/tiny at main cannot be read: .*check the name, the network"):
        from_folder_or_hub("someone/tiny", "main", False)


# ---- data sets ----

CARD = """---
dataset_info:
- config_name: {name}
  features:
  - name: id
    dtype: int32
  - name: sentence
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': different
          '1': equal
  splits:
  - name: train
    num_bytes: 500
    num_examples: 10
  - name: validation
    num_bytes: 100
    num_examples: 2
  - name: test
    num_bytes: 100
    num_examples: 2
configs:
- config_name: {name}
  data_files:
  - split: train
    path: {folder}/train-*
  - split: validation
    path: {folder}/validation-*
  - split: test
    path: {folder}/test-*
---
# A card
"""
SPLITS = {split: split for split in ("train", "validation", "test")}
ROWS = {  # file → its numbers, which are the rows' ids; labels are their last bits, and -1 in the test split
    "train-00000-of-00002": range(6),
    "train-00001-of-00002": range(6, 10),
    "validation-00000-of-00001": range(10, 12),
    "test-00000-of-00001": range(12, 14),
}


def write_rows(file: Path, ids: range, labelled: bool = True) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    labels = [i % 2 if labelled else -1 for i in ids]
    pq.write_table(pa.table({"id": list(ids), "sentence": [f"text {i}" for i in ids], "label": labels}), file)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """A folder whose folders are the hub's data sets, by their ids."""
    read = datasets.load_dataset

    def load(name: str, *arguments: Any, **options: Any) -> Any:
        return read(str(tmp_path / "hub" / name), *arguments, **options)

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def with_card(place: Path, name: str) -> None:
    """A data set of one configuration, whose splits are Parquet files that its card names."""
    folder = "data" if name == "default" else name
    for file, ids in ROWS.items():
        write_rows(place / folder / f"{file}.parquet", ids, not file.startswith("test"))
    (place / "README.md").write_text(CARD.format(name=name, folder=folder))


def ids_of(source: ResolvedSource, split: str) -> dict[int, int]:
    """A row's number → its id, of a split."""
    rows = shuffled_rows(source, split, ["id", "label"], 0)
    return {int(place.rpartition("row ")[2]): row["id"] for place, row in rows}


@pytest.mark.parametrize(("name", "asked"), [("default", None), ("pairs", "pairs"), ("pairs", None)])
def test_shards_that_a_card_names_are_one_split(name, asked, hub):
    """The one configuration is taken where none is asked for, whatever its name."""
    with_card(hub / "someone/pairs", name)
    source = ResolvedSource(hub="someone/pairs", config=asked, revision="main", splits=SPLITS)
    assert ids_of(source, "train") == {i + 1: i for i in range(10)}
    assert ids_of(source, "test") == {1: 12, 2: 13}


def test_splits_as_presets_have_them(hub):
    """Slices of train, and a labelled split in place of a test split without labels; rows of all shards."""
    with_card(hub / "someone/pairs", "default")
    splits = {"train": "train[:80%]", "validation": "train[80%:]", "test": "validation"}
    source = ResolvedSource(hub="someone/pairs", revision="main", splits=splits)
    labels = {"0": "different", "1": "equal"}
    task = PreparedTask(source=source, prompt="{sentence} :", target="label", metric="accuracy", labels=labels)
    sizes = {"train": 6, "attribution": 2, "test": 2, "validation": 2}
    found = {split: source_examples(task, split, sizes, 0).examples for split in sizes}
    of = {split: {int(example["prompt"].split()[1]) for example in examples} for split, examples in found.items()}
    assert of["train"] | of["attribution"] == set(range(8))
    assert of["validation"] == {8, 9} and of["test"] == {10, 11}
    targets = {int(one["prompt"].split()[1]): one["target"] for examples in found.values() for one in examples}
    assert targets == {i: labels[str(i % 2)] for i in range(12)}


def test_one_of_several_configurations_has_to_be_named(hub):
    first, second = (CARD.format(name=name, folder="data").split("---\n")[1] for name in ("a", "b"))
    info, files = first.split("configs:\n")
    more_info, more_files = second.split("configs:\n")
    with_card(hub / "someone/pairs", "default")
    card = f"---\n{info}{more_info.removeprefix('dataset_info:' + chr(10))}configs:\n{files}{more_files}---\n"
    (hub / "someone/pairs/README.md").write_text(card)
    source = ResolvedSource(hub="someone/pairs", config="b", revision="main", splits=SPLITS)
    assert len(ids_of(source, "train")) == 10
    with pytest.raises(UserError, match=r"(?s)someone/pairs \(config None, .* cannot be read: .*\['a', 'b'\]"):
        ids_of(source.model_copy(update={"config": None}), "train")


def test_the_hubs_own_conversion_to_parquet(hub):
    """Its branch refs/convert/parquet has no card: folders name configuration and splits."""
    for split, ids in {"train": range(3), "validation": range(3, 5), "test": range(5, 6)}.items():
        write_rows(hub / "someone/script/default" / split / "0000.parquet", ids)
    source = ResolvedSource(hub="someone/script", revision="refs/convert/parquet", splits=SPLITS)
    assert ids_of(source, "train") == {1: 0, 2: 1, 3: 2}
    assert ids_of(source, "validation") == {1: 3, 2: 4} and ids_of(source, "test") == {1: 5}


@pytest.mark.parametrize(("files", "splits"), [(["Reviews"], {"train"}), (["train", "test"], {"train", "test"})])
def test_plain_csv_files(files, splits, hub):
    """One file alone is the train split; files that are called by splits are these."""
    (hub / "someone/texts").mkdir(parents=True)
    for file in files:
        (hub / f"someone/texts/{file}.csv").write_text('id,label,Text\n0,5,"good, they say"\n1,1,NA\n')
    source = ResolvedSource(hub="someone/texts", revision="main", splits=SPLITS)
    for split in splits:
        assert ids_of(source, split) == {1: 0, 2: 1}
    with pytest.raises(UserError, match="split validation"):
        ids_of(source, "validation")
