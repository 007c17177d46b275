"""Model folders and GGUF files: whole ones pass, broken ones are refused with a message, as early as they can be."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gguf.constants import GGML_QUANT_SIZES
from safetensors.torch import load_file, save_file

from conftest import MIXTURES, ROOT, SHARED, TEXTS, TINY, task_file, tiny_model
from reliability import model_folders
from reliability.model_folders import CASES, config_of, made
from taskneurons.checks.config import checked_config
from taskneurons.checks.gguf import BLOCKS
from taskneurons.checks.model_files import NAMES, check_folder
from taskneurons.config.settings import DeviceSettings, Evaluation, TokenBudget
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import encode
from taskneurons.data.task import read_task
from taskneurons.evaluation.prediction import predict
from taskneurons.models import import_base
from taskneurons.models import loaded as models
from taskneurons.models.import_base import ImportSettings, from_folder_or_hub
from taskneurons.models.loaded import load_model, save_model, weights_hash
from taskneurons.neurons.families import FAMILIES, longest_text
from taskneurons.training.pretrain import build_tokenizer

CPU = DeviceSettings(threads=1, device="cpu", dtype="float32")
BY_NAME = {case.name: case for case in CASES}

# Case → the message when the config is checked.
AT_DRY_RUN = {
    "lacks FFN weights": r"config: model: source: path: .*model: the weights lack layers\.0\.mlp\.down_proj\.weight.* "
    "and 1 "
    "more, and random values would take their place",
    "GPT-2 lacks one FFN matrix": r"the weights lack h\.1\.mlp\.c_fc\.weight",
    "lacks its embedding": r"the weights lack the embedding \(embed_tokens\.weight\)",
    "lacks a layer": "num_hidden_layers is 2 in config.json, and the weights have 1 layers of the family llama",
    "more layers in config.json": "num_hidden_layers is 3 in config.json, and the weights have 2 layers",
    "another family": "n_layer is 2 in config.json, and the weights have 0 layers of the family gpt2",
    "lacks an expert": r"the weights lack layers\.0: experts \(3 of 4\)",
    "lacks an expert's matrix": r"the weights lack layers\.0: expert 2's matrices \(2 of 3\)",
    "other neurons in config.json": r"down_proj\.weight has the shape \[16, 24\], by config\.json it would be \[16, "
    r"32\]",
    "an FFN matrix of another shape": r"up_proj\.weight has the shape \[9, 9\], by config\.json it would be \[24, 16\]",
    "another vocabulary in config.json": r"the embedding has 300 rows, config\.json says 400 \(vocab_size\)",
    "layers as text": "num_hidden_layers is 'two', no whole number above zero",
    "no weights": r"holds no weights as safetensors \(model\.safetensors, .*: none; save",
    "only pickled weights": r"only pickled ones \(pytorch_model\.bin\), which are not read",
    "weights of zero bytes": r"model\.safetensors is empty",
    "weights cut off": r"model\.safetensors is damaged or cut off \(",
    "weights cut off in the header": r"model\.safetensors is damaged or cut off \(",
    "a damaged header": r"model\.safetensors is damaged or cut off \(",
    "a header of absurd length": r"model\.safetensors is damaged or cut off \(",
    "an index of absent files": r"index\.json names files that are not there: model-3\.safetensors",
    "an index without tensors": "has no weight_map of tensors and their files",
    "an index that is no JSON": r"model\.safetensors\.index\.json is no JSON",
    "an index beside other weights": r"which names other files \(model-1-of-2\.safetensors, model-2.*which are the "
    "weights",
    "a file that lacks tensors": r"index\.json names files that lack what they should hold: lm_head\.weight;",
    "a tensor in two files": r"is in both model-1-of-2\.safetensors and model-2-of-2\.safetensors: which one counts",
    "quantised": "holds quantised weights .*take the original weights, or a GGUF copy",
    "an adapter": r"made of other weights than model\.safetensors \(adapter_config\.json\)",
    "no config.json": r"holds no config\.json",
    "config.json of zero bytes": r"config\.json is no JSON",
    "config.json is UTF-16": r"config\.json is no JSON",
    "config.json is a list": r"config\.json holds no JSON object",
    "no model_type": "names no model_type",
    "an unknown family": "the model family 'rwkv' is not supported",
    "no tokenizer": r"holds no tokenizer \(tokenizer\.json, tokenizer\.model, or vocab\.json and merges\.txt\)",
    "GPT-2 without tokenizer": "holds no tokenizer",
    "tokenizer.json is cut off": r"tokenizer\.json is no JSON",
    "tokenizer.json of something else": r"tokenizer\.json is no tokenizer",
    "a tokenizer larger than the embedding": "larger than the embedding: 'giraffe' has the id 301, and there are 300 "
    "rows",
    "no end of text": r"tokenizer_config\.json names no end-of-text token \(eos_token\)",
    "a context below the budgets": r"config: data: tokens: a prompt of 48 tokens, a target of 16 and the end of text "
    "are 65, "
    r"more than the 64 that the model reads \(config\.json of model: .*, for news: lower the budgets",
    "GPT-2 with a context below the budgets": "are 129, more than the 128 that the model reads",
    "a local folder as the hub's": "hub: model is a local folder or file here, .*: give it as path: model",
    "GGUF: zero bytes": "is not a GGUF file",
    "GGUF: something else": "is not a GGUF file",
    "GGUF: version 1": "has version 1, and only 2 and 3 are read",
    "GGUF: big-endian": "has version 50331648, and only 2 and 3 are read",
    "GGUF: only the magic": "damaged or ends within its header",
    "GGUF: cut off in the header": "damaged or ends within its header",
    "GGUF: absurd counts": "damaged or ends within its header",
    "GGUF: cut off in the data": r"is cut off: it ends before the weights blk\.",
    "GGUF: no context length": r"lacks the key llama\.context_length",
    "GGUF: no key heads": r"lacks the key llama\.attention\.head_count_kv",
    "GGUF: no tokenizer": r"lacks the key tokenizer\.ggml\.tokens",
    "GGUF: lacks an FFN matrix": r"lacks the weights blk\.1\.ffn_up",
    "GGUF: lacks a layer": r"says 3 layers \(llama\.block_count\), its weights have 2",
    "GGUF: scaled": "scales its rotary positions, which transformers does not read from GGUF",
    "GGUF: a context below the budgets": "are 129, more than the 128 that the model reads",
}

# Case → the message of the import: what only transformers, or a look at the values, can tell.
AT_IMPORT = {
    "lacks a query matrix": r"lacks the weights model\.layers\.0\.self_attn\.q_proj\.weight, and random values would "
    "take",
    "lacks its head": r"lacks the weights lm_head\.weight",
    "weights of no layer": r"holds weights for which its config has no place: model\.more",
    "a query matrix of another shape": r"q_proj\.weight \(8, 16\) instead of \(16, 16\)",
    "heads that do not divide": r"cannot be read: [\s\S]*not a multiple of the number of attention heads",
    "not a number": r"not finite \(NaN or infinite\): model\.layers\.1\.mlp\.up_proj\.weight; fetch",
    "infinite": r"not finite \(NaN or infinite\): model\.norm\.weight",
    "an end of text of no row": "larger than the embedding: '<none>' has the id 300, and there are 300 rows",
    "no tokenizer_config.json": "has no end-of-text token, which ends every target: set eos_token",
    "GGUF: lacks a query matrix": r"lacks the weights model\.layers\.1\.self_attn\.q_proj\.weight",
    "GGUF: not a number": r"not finite \(NaN or infinite\): model\.layers\.0\.mlp\.up_proj\.weight",
}


@pytest.mark.parametrize("name", AT_DRY_RUN)
def test_told_when_the_config_is_checked(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = made(BY_NAME[name], tmp_path)
    with pytest.raises(UserError, match=AT_DRY_RUN[name]):
        checked_config(config_of(BY_NAME[name], place), ROOT)


@pytest.mark.parametrize("name", AT_IMPORT)
def test_told_by_the_import_before_anything_is_written(name, tmp_path):
    source = checked_config(config_of(BY_NAME[name], made(BY_NAME[name], tmp_path)), ROOT).config.model.source
    with pytest.raises(UserError, match=AT_IMPORT[name]):
        import_base.main(ImportSettings(source=source), files=[], model=tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_a_sample_of_the_reliability_runs_model_folders(tmp_path):
    """No traceback and nothing silently wrong; the whole list is tried by `make reliability`."""
    results = model_folders.try_all(tmp_path, number=5, seed=7)
    assert [result for result in results if not model_folders.as_expected(BY_NAME[result["name"]], result)] == []


def test_what_is_imported_otherwise_is_called_silently_wrong(tmp_path, monkeypatch):
    """The judge of the list above sees a model without FFN weights where the checks are off."""
    monkeypatch.setattr(import_base, "check_weights", lambda *arguments: None)
    monkeypatch.setattr("taskneurons.checks.config.check_folder", lambda folder: {"model_type": "llama"})
    result = model_folders.tried(BY_NAME["lacks FFN weights"], tmp_path)
    assert (result["outcome"], result["message"]) == ("silently wrong", "two imports have different identities")


@pytest.mark.parametrize("named", ["as saved", "without the base model's prefix"])
@pytest.mark.parametrize("name", [*TINY, *MIXTURES])
def test_a_whole_folder_of_every_family_passes(name, named, tmp_path):
    model = tiny_model(name)
    model.save_pretrained(tmp_path)
    build_tokenizer(TEXTS, 300).save_pretrained(tmp_path)
    if named != "as saved":
        prefix = FAMILIES[model.config.model_type].layers.split(".")[0]
        weights = load_file(tmp_path / "model.safetensors")
        weights = {key.removeprefix(f"{prefix}."): tensor for key, tensor in weights.items()}
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert check_folder(tmp_path)["model_type"] == model.config.model_type
    imported, _ = from_folder_or_hub(str(tmp_path), None, False)
    assert weights_hash(imported) == weights_hash(model)


@pytest.mark.parametrize("name", TINY)
def test_an_ffn_matrix_that_is_missing_is_seen_in_every_family(name, tmp_path):
    model = tiny_model(name)
    model.save_pretrained(tmp_path)
    where = FAMILIES[model.config.model_type]
    for matrix in (where.reader, *where.writers):
        weights = load_file(tmp_path / "model.safetensors")
        lost = f"{where.layers}.2.{matrix}.weight"
        save_file({key: weights[key] for key in weights if key != lost}, tmp_path / "model.safetensors")
        with pytest.raises(UserError, match=rf"the weights lack {lost.split('.', 1)[1]}, and random"):
            check_folder(tmp_path)
        save_file(weights, tmp_path / "model.safetensors")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real model beside the project is absent")
def test_a_real_folder_passes():
    assert longest_text(check_folder(SHARED / "models" / "stories260K")) == 512


def test_the_checks_load_no_framework(tmp_path):
    """They run while the Snakefile is read."""
    folder, file = model_folders.model_folder(tmp_path / "m"), model_folders.gguf_file(tmp_path / "m.gguf")
    code = (
        "import sys; from pathlib import Path; from taskneurons.checks import gguf, model_files; "
        f"model_files.check_folder(Path({str(folder)!r})); gguf.check_gguf(Path({str(file)!r})); "
        "print({'torch', 'transformers', 'gguf'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'workflow')!r}); {code}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_family_has_its_names():
    assert set(NAMES) == set(FAMILIES)


def test_sizes_of_ggufs_tensor_types():
    assert {int(kind): size for kind, size in GGML_QUANT_SIZES.items() if int(kind) in BLOCKS} == BLOCKS


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        ({"model_type": "llama", "max_position_embeddings": 100}, 100),
        ({"model_type": "gpt2", "n_positions": 100}, 100),
        ({"model_type": "bloom", "seq_length": 100}, None),
        ({"model_type": "falcon", "alibi": True, "max_position_embeddings": 100}, None),
        ({"model_type": "falcon", "alibi": False, "max_position_embeddings": 100}, 100),
        ({"model_type": "llama", "max_position_embeddings": 100, "rope_scaling": {"factor": 2.0}}, 200),
        (  # Llama 3.1 counts its scaled positions already
            {
                "model_type": "llama",
                "max_position_embeddings": 100,
                "rope_parameters": {"factor": 8.0, "original_max_position_embeddings": 10},
            },
            100,
        ),
        ({"model_type": "llama", "max_position_embeddings": 100, "rope_scaling": {"factor": "8"}}, 100),
        ({"model_type": "qwen2"}, None),
    ],
)
def test_the_longest_text(config, longest):
    assert longest_text(config) == longest


def test_budgets_of_the_embedded_model():
    """The end of text counts one more; a task's own budgets count."""

    def check(prompt: int, target: int, own: int | None = None) -> None:
        config = config_of(CASES[0], Path())
        config["model"]["source"] = {"pretrain": {"architecture": {"max_position_embeddings": 64}}}
        config["data"]["tokens"] = {"prompt": prompt, "target": target}
        if own is not None:
            config["tasks"]["news"]["tokens"] = {"prompt": own}
        checked_config(config, ROOT)

    check(50, 13)
    check(500, 13, own=50)
    with pytest.raises(
        UserError, match=r"are 65, more than the 64 .*pretrain: architecture: max_position_embeddings\)"
    ):
        check(50, 14)
    with pytest.raises(
        UserError, match=r"a prompt of 51 tokens, a target of 13 and the end of text are 65, .* for news"
    ):
        check(5, 13, own=51)


def test_a_model_of_the_hub_is_held_against_the_budgets_when_examples_are_encoded(tmp_path):
    """Its context is not known earlier."""
    tokenizer = build_tokenizer(TEXTS, 300)
    tokenizer.model_max_length = 7  # what a tokenizer says by itself does not count
    save_model(tmp_path / "m", tiny_model("llama"), tokenizer, {"state": "base"})
    read = load_model(tmp_path / "m", CPU).tokenizer
    encode(read, "the cat :", "yes", "", TokenBudget(prompt=100, target=27))
    with pytest.raises(
        UserError, match="a target of 28 and the end of text are more than the 128 that the model reads"
    ):
        encode(read, "the cat :", "yes", "", TokenBudget(prompt=100, target=28))


@pytest.mark.parametrize("source", [{"path": "x" * 300}, {"gguf": "x" * 300}, {"hub": "x" * 300, "revision": "main"}])
def test_a_source_that_cannot_be_looked_at(source):
    config = config_of(CASES[0], Path())
    config["model"]["source"] = source
    with pytest.raises(UserError, match=r"config: model: source: .*( is too long|File name too long)"):
        checked_config(config, ROOT)


def test_the_import_takes_no_local_folder_for_the_hubs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model_folders.model_folder(tmp_path / "ok")
    with pytest.raises(
        UserError, match=r"ok is a local folder or file here, not the hub's model: give it as model\.source"
    ):
        from_folder_or_hub("ok", "main", False)


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "llama"])
def test_a_tokenizer_without_files_is_seen_by_the_import_too(family, tmp_path):
    """On the hub nothing is looked at before; transformers makes a vocabulary of special tokens, or none."""
    tiny_model(family).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"has no words \(\d special tokens\)|cannot be read: Couldn't instantiate"):
        from_folder_or_hub(str(tmp_path), None, False)


def test_a_tokenizer_that_another_class_cuts_otherwise(tmp_path):
    model_folders.tiny("gpt2").save_pretrained(tmp_path)
    tokenizer = build_tokenizer(TEXTS, 290)  # 10 rows to spare for the class's own tokens
    tokenizer.save_pretrained(tmp_path)
    model_folders.in_json("tokenizer_config.json", tokenizer_class="BertTokenizer", unk_token="<end>")(tmp_path)
    with pytest.raises(UserError, match="as BertTokenizer, which cuts words otherwise than that file says"):
        from_folder_or_hub(str(tmp_path), None, False)


def test_tokens_that_no_text_holds_may_lie_behind_the_embedding(tmp_path):
    """Gemma 3's text model has such a one for images."""
    model_folders.model_folder(tmp_path)
    tokenizer = build_tokenizer(TEXTS, 300)
    tokenizer.add_tokens(["<image_soft_token>"], special_tokens=True)
    tokenizer.save_pretrained(tmp_path)
    check_folder(tmp_path)
    from_folder_or_hub(str(tmp_path), None, False)


def test_nothing_pickled_and_no_remote_code_is_ever_read(tmp_path, monkeypatch):
    save_model(tmp_path / "m", tiny_model("llama"), build_tokenizer(TEXTS, 300), {"state": "base"})
    asked = []
    for reader in (models.AutoModelForCausalLM, models.AutoTokenizer):
        own = reader.from_pretrained
        monkeypatch.setattr(
            reader,
            "from_pretrained",
            lambda *given, own=own, **options: (asked.append(options), own(*given, **options))[1],
        )
    load_model(tmp_path / "m", CPU)
    from_folder_or_hub(str(tmp_path / "m"), None, False)
    import_base.from_gguf(model_folders.gguf_file(tmp_path / "m.gguf"))
    assert [options["trust_remote_code"] for options in asked] == [False] * 6
    assert [options["use_safetensors"] for options in (asked[0], asked[2])] == [True, True]


@pytest.mark.parametrize("metric", ["accuracy", "rougeL"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_whose_logits_are_not_finite_gives_no_table(metric, value, loaded, tmp_path):
    task = read_task(task_file(tmp_path / "test.parquet", "news"))
    task = task if metric == "accuracy" else task.__class__(**{**vars(task), "metric": metric})
    examples = task.encoded(loaded.tokenizer)
    predict(loaded, task, examples, Evaluation())
    with torch.no_grad():
        loaded.model.model.layers[1].mlp.down_proj.weight[3, 4] = value
    with pytest.raises(
        UserError, match=r"news: the model's logits are NaN or infinite: look at .*learning rate.*dtype"
    ):
        predict(loaded, task, examples, Evaluation())
