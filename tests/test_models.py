"""Model artifacts: saved, identified, loaded; the base model is reproducible; imports from a folder."""

import json
import stat
from pathlib import Path

import pytest
import torch
from accelerate import cpu_offload

from conftest import ROOT, SHARED, TEXTS, TINY, tiny_model
from taskneurons.config.settings import Architecture, DeviceSettings
from taskneurons.core.errors import UserError
from taskneurons.models import loaded as models
from taskneurons.models.import_base import from_folder_or_hub
from taskneurons.models.loaded import load_model, read_model_provenance, save_model, start_compute, weights_hash
from taskneurons.training.pretrain import build_model, build_tokenizer

SETTINGS = DeviceSettings(threads=1, device="cpu", dtype="float32")
ARCHITECTURE = Architecture(
    hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64
)


@pytest.mark.parametrize("family", list(TINY))
def test_saved_and_loaded(family, tmp_path):
    model, tokenizer = tiny_model(family), build_tokenizer(TEXTS, 300)
    save_model(tmp_path / "m", model, tokenizer, {"state": "base"})
    loaded = load_model(tmp_path / "m", SETTINGS)
    assert weights_hash(loaded.model) == weights_hash(model) == loaded.identity
    assert (loaded.provenance["state"], loaded.provenance["model_type"]) == ("base", model.config.model_type)
    assert not loaded.model.training
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded.model(input_ids=ids).logits, model(input_ids=ids).logits)
    assert all(file.stat().st_mode & stat.S_IROTH for file in (tmp_path / "m").iterdir())
    assert [file.suffix for file in (tmp_path / "m").iterdir() if file.suffix in (".bin", ".pt", ".pkl")] == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_weights_are_mapped_not_copied(tmp_path):
    """So that jobs beside each other share them, and loading takes no second copy of a large model."""
    save_model(tmp_path / "m", tiny_model("llama"), build_tokenizer(TEXTS, 300), {"state": "base"})
    model = load_model(tmp_path / "m", SETTINGS).model
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    spans = [[int(end, 16) for end in line[0].split("-")] for line in lines if line[-1].startswith(str(tmp_path / "m"))]
    places = [one.data_ptr() for one in model.parameters()]
    assert all(any(start <= place < end for start, end in spans) for place in places)


def test_the_identity_sees_every_weight(tmp_path):
    model = tiny_model("llama")
    before = weights_hash(model)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] += 1e-6
    assert weights_hash(model) != before


def test_a_folder_without_identity_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no identity\.json"):
        read_model_provenance(tmp_path)


def test_tokenizer_and_model_are_reproducible():
    first, second = build_tokenizer(TEXTS * 3, 320), build_tokenizer(TEXTS * 3, 320)
    assert first.get_vocab() == second.get_vocab()
    assert weights_hash(build_model(ARCHITECTURE, first, 5)) == weights_hash(build_model(ARCHITECTURE, second, 5))
    assert first.decode(first("Any text: 3 %, ünïcode")["input_ids"]).strip() == "Any text: 3 %, ünïcode"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("weights", ["float32", "compute"])
def test_dtype_of_the_computation_and_of_the_weights(dtype, weights):
    compute = start_compute(SETTINGS.model_copy(update={"dtype": dtype, "weights": weights}))
    with compute.autocast():
        assert str((torch.ones(2, 2) @ torch.ones(2, 2)).dtype) == f"torch.{dtype}"
    assert str(compute.weights) == f"torch.{dtype if weights == 'compute' else 'float32'}"


def test_threads_are_those_of_the_settings():
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            start_compute(SETTINGS.model_copy(update={"threads": threads}))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(UserError, match=r"compute\.device is cuda:99, but PyTorch sees \d+ CUDA devices"):
        start_compute(SETTINGS.model_copy(update={"device": "cuda:99"}))


def test_an_unsupported_family_is_refused_before_its_weights_are_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlnet"}))
    with pytest.raises(UserError, match="'xlnet' is not supported"):
        from_folder_or_hub(str(tmp_path), None, False)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real model beside the project is absent")
def test_a_real_model_folder():
    model, tokenizer = from_folder_or_hub(str(SHARED / "models" / "stories260K"), None, False)
    assert model.num_parameters() == 260_032
    assert tokenizer.eos_token_id == 2


def test_layers_that_no_device_has_room_for_are_told(tmp_path, monkeypatch):
    """accelerate leaves them without data on the way; a change to such a weight is lost without a word."""
    save_model(tmp_path / "m", tiny_model("llama"), build_tokenizer(TEXTS, 300), {"state": "base"})
    offloaded = cpu_offload(tiny_model("llama"), torch.device("cpu"))
    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", lambda *arguments, **options: offloaded)
    with pytest.raises(UserError, match="the devices together are too small"):
        load_model(tmp_path / "m", SETTINGS)


GGUF = ROOT / "resources" / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.mark.skipif(not GGUF.is_file(), reason="the GGUF file is absent: `make weights` fetches it")
def test_a_real_gguf_file(tmp_path):
    from taskneurons.models.import_base import from_gguf

    model, tokenizer = from_gguf(GGUF)
    save_model(tmp_path / "m", model, tokenizer, {"state": "base"})
    loaded = load_model(tmp_path / "m", SETTINGS)
    assert len(loaded.model.model.layers) == 30
    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        best = loaded.model(input_ids=ids).logits[0, -1].argmax()
    assert tokenizer.decode([best]).strip() == "Paris"
