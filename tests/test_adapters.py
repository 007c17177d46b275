"""Continual learning by adapters, low subspaces and prefixes: what moves and what does not, and who answers what."""

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModelForCausalLM, PrefixTuningConfig
from transformers import AutoConfig, AutoModelForCausalLM

from conftest import SIZES, TINY, TRAINING, KilledError, killed_at, loaded_of
from taskneurons.continual import features, method, routing
from taskneurons.continual.adapters import A, B, TrainedAdapter, adapters_put, new_adapter, query_and_value
from taskneurons.continual.method import Lesson, Settings, Stage, State
from taskneurons.continual.methods import epi, o_lora, osf, routed_lora, seqlora
from taskneurons.continual.prefixes import TrainedPrefix, new_prefix, prefix_put
from taskneurons.continual.whole_model import model_of
from taskneurons.core.errors import UserError
from taskneurons.data.encoding import collate, target_logits
from taskneurons.models.loaded import Compute
from taskneurons.training.checkpoint import Checkpoint

METHODS = [seqlora, o_lora, osf, epi, routed_lora]
NAMES = [one.NAME for one in METHODS]
PAIRS = {
    "one": [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([4, 5], [13]), ([14, 15, 16], [9, 10])],
    "two": [([30, 31, 32], [33]), ([34, 35], [36, 37]), ([38, 30, 31, 39], [33]), ([32], [36, 37])],
}
PROMPTS = [prompt for pairs in PAIRS.values() for prompt, _ in pairs]


def stage_of(base, folder: Path, *tasks: str, kept=(), percent: float = 20, knob: float | None = 0.5) -> Stage:
    lessons = [Lesson(task, PAIRS[task]) for task in tasks or ("one",)]
    settings = Settings(percent, "global", knob, seed=0)
    checkpoint = Checkpoint(folder / "checkpoint.safetensors", "-".join(tasks))
    return Stage(base, lessons, list(kept), settings, TRAINING, checkpoint)  # 4 steps


def state_of(base, *kept, tasks=("one", "two")) -> State:
    return State(base, list(tasks[: len(kept)]), list(kept), Settings(20, "global", 0.5, seed=0))


def learn_both(module, base, folder: Path) -> list[method.Learnt]:
    """Both tasks, one after the other; of methods that learn alone each from the base model."""
    start, found = copy.deepcopy(base.model.state_dict()), []
    for tasks in (("one",), ("one", "two")):
        kept = [one.tensors for one in found] if module.LEARNS == "in sequence" else []
        found.append(module.learn(stage_of(base, folder, *tasks, kept=kept)))
        base.model.load_state_dict(start)
    return found


class Snapshot:
    """All that a model is: its bits, its modules with what hangs on them, what gets gradients."""

    def __init__(self, model):
        self.model = model
        self.tensors = copy.deepcopy(model.state_dict())
        self.modules = self.look()

    def look(self):
        return {
            name: (type(module), sorted(vars(module)), module.training, len(module._forward_pre_hooks))
            for name, module in self.model.named_modules()
        }, {name: (parameter.requires_grad, parameter.dtype) for name, parameter in self.model.named_parameters()}

    def check(self, bits: bool = True):
        assert self.look() == self.modules
        assert list(self.model.state_dict()) == list(self.tensors)
        if bits:
            assert all(torch.equal(self.model.state_dict()[name], tensor) for name, tensor in self.tensors.items())


@torch.no_grad()
def logits_of(base, prompts=PROMPTS) -> torch.Tensor:
    return target_logits(base.model, collate([(prompt, [0]) for prompt in prompts], base.compute.device))


def random_adapter(base, seed: int, paths=None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    stage = stage_of(base, Path())
    found = new_adapter(stage, paths or query_and_value(base.model), rank=3)
    return {name: torch.randn(tensor.shape, generator=generator) / 4 for name, tensor in found.items()}


# ---- LoRA ----

HELD = {"gpt2": ["c_attn"], "phi3": ["qkv_proj"]}
HELD |= {family: ["query_key_value"] for family in ("bloom", "falcon", "gpt_neox")}


@pytest.mark.parametrize("family", list(TINY))
def test_query_and_value_of_every_family(family):
    model = loaded_of(family).model
    found = query_and_value(model)
    names = HELD.get(model.config.model_type, ["q_proj", "v_proj"])
    assert sorted(path.rpartition(".")[2] for path in found) == sorted(names * 3)


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "bloom", "falcon"])
def test_adapters_add_their_products_to_the_weights(family):
    """Against 32/8·B·A added to the weights by hand, in float64."""
    base = loaded_of(family)
    base.model.double()
    adapters = [random_adapter(base, 1), random_adapter(base, 2)]
    with adapters_put(base.model, adapters):
        found = logits_of(base)
    before = logits_of(base)
    for adapter in adapters:
        for path in query_and_value(base.model):
            change = 4 * adapter[f"{B}{path}"].double() @ adapter[f"{A}{path}"].double()
            weight = base.model.get_submodule(path).weight
            weight.data += change.T if family == "gpt2" else change
    expected = logits_of(base)
    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)  # the adapters are in float32


def test_adapters_are_on_the_named_modules_of_a_deep_model():
    """PEFT shortens a list of more than 20 modules."""
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("llama", vocab_size=50, **{**SIZES, "num_hidden_layers": 12})
    )
    paths = query_and_value(model)
    base = replace(loaded_of("llama"), model=model)
    with adapters_put(model, [random_adapter(base, 1, paths)]):
        layers = {name.rpartition(".lora_A.")[0] for name, _ in model.named_modules() if ".lora_A." in name}
    assert layers == set(paths) and len(paths) == 24


def test_an_adapter_starts_as_nothing_and_differs_by_task_and_seed(tmp_path):
    base = loaded_of("llama")
    paths, stage = query_and_value(base.model), stage_of(base, tmp_path)
    first = new_adapter(stage, paths)
    other = new_adapter(stage_of(base, tmp_path, "two"), paths)
    reseeded = new_adapter(replace(stage, settings=replace(stage.settings, seed=1)), paths)
    for name, tensor in first.items():
        assert torch.equal(tensor, new_adapter(stage, paths)[name])
        if name.startswith(A):
            assert tensor.abs().max() <= 1 / 4  # uniform within ±1/√inputs
            assert not torch.equal(tensor, other[name]) and not torch.equal(tensor, reseeded[name])
        else:
            assert not tensor.any()
    with adapters_put(base.model, [first]):
        changed = logits_of(base)
    assert torch.equal(changed, logits_of(base))


@pytest.mark.parametrize("module", [seqlora, o_lora, routed_lora])
@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "phi3", "opt, post-norm"])
def test_learning_an_adapter_moves_nothing_of_the_model(module, family, tmp_path):
    base = loaded_of(family)
    before = Snapshot(base.model)
    first, second = learn_both(module, base, tmp_path)
    before.check()
    start = new_adapter(stage_of(base, tmp_path), query_and_value(base.model))
    assert all(first.tensors[name].any() for name in start if name.startswith(B))  # what was zero has moved
    assert first.parameters == sum(tensor.numel() for name, tensor in first.tensors.items() if name.startswith((A, B)))
    assert any(not torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)


@pytest.mark.parametrize("module", METHODS, ids=NAMES)
def test_only_what_is_trained_gets_gradients(module, tmp_path, monkeypatch):
    base, seen = loaded_of("llama"), []
    for kind in (TrainedAdapter, osf.LowSubspaces, TrainedPrefix):
        own = kind.project

        def look(self, gradients, own=own):
            with_gradient = {name for name, one in base.model.named_parameters() if one.grad is not None}
            assert all(parameter.dtype == torch.float32 for parameter in self.parameters())
            seen.append((with_gradient, len(gradients), len(self.parameters())))
            own(self, gradients)

        monkeypatch.setattr(kind, "project", look)
    learn_both(module, base, tmp_path)
    assert len(seen) == 8
    last = {seqlora: ".adapter0.", o_lora: ".adapter1.", routed_lora: ".adapter0.", osf: ".osf_svd_params.", epi: ""}
    for names, gradients, parameters in seen[4:]:
        assert gradients == parameters
        assert all(last[module] in name for name in names)
        assert len(names) == (0 if module is epi else parameters)


def test_o_lora_with_one_task_is_seqlora_to_the_bit(tmp_path):
    base = loaded_of("llama")
    expected = seqlora.learn(stage_of(base, tmp_path))
    for knob in (0.0, 5.0):
        found = o_lora.learn(stage_of(base, tmp_path, knob=knob))
        assert found.tensors.keys() == expected.tensors.keys()
        assert all(torch.equal(found.tensors[name], tensor) for name, tensor in expected.tensors.items())
        pd.testing.assert_frame_equal(found.history, expected.history, check_exact=True)
    assert found.kept_bytes == 4 * found.parameters == 4 * 6 * 8 * 32 and expected.kept_bytes == 0


def test_the_second_stage_of_seqlora_starts_at_the_first_ones_adapter(tmp_path, monkeypatch):
    base = loaded_of("llama")
    first = seqlora.learn(stage_of(base, tmp_path)).tensors
    monkeypatch.setattr(method, "train", lambda *given, **more: pd.DataFrame())
    second = seqlora.learn(stage_of(base, tmp_path, "one", "two", kept=[first])).tensors
    assert second.keys() == first.keys() and all(torch.equal(second[name], first[name]) for name in first)


# ---- O-LoRA's penalty ----

OLD = {f"{A}q": torch.tensor([[1.0, -2.0], [0.0, 3.0]]), f"{B}q": torch.ones(2, 2)}
OLDER = {f"{A}q": torch.tensor([[0.0, 1.0], [1.0, 0.0]]), f"{B}q": torch.ones(2, 2)}
NEW = {f"{A}q": torch.tensor([[2.0, 1.0], [1.0, 1.0]]), f"{B}q": torch.ones(2, 2)}


@pytest.mark.parametrize(("norm", "one", "two"), [("absolute", 7, 7 + 5), ("squared", 19, 19 + 7)])
def test_the_overlap_worked_by_hand(norm, one, two):
    """A_old·A_newᵀ is [[0, −1], [3, 3]]; of the older one it is [[1, 1], [2, 1]]."""
    assert o_lora.overlap([OLD], NEW, norm) == one
    assert o_lora.overlap([OLD, OLDER], NEW, norm) == two
    both = {**NEW, f"{A}v": torch.tensor([[1.0, 0.0]])}
    assert o_lora.overlap([{**OLD, f"{A}v": torch.tensor([[-2.0, 5.0]])}], both, norm) == one + (
        2 if norm == "absolute" else 4
    )


@pytest.mark.parametrize("norm", ["absolute", "squared"])
def test_gradients_of_the_overlap(norm):
    """Against finite differences, in float64."""
    generator = torch.Generator().manual_seed(0)
    old, new = (torch.randn(3, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    new.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda values: o_lora.overlap([{f"{A}q": old}], {f"{A}q": values}, norm), new)


def test_the_penalty_of_a_training(tmp_path, monkeypatch):
    """While B is zero, A has no gradient but the penalty's: λ1·sign(A_new·A_oldᵀ)·A_old."""
    base, seen = loaded_of("llama"), []
    first = o_lora.learn(stage_of(base, tmp_path)).tensors
    monkeypatch.setattr(
        TrainedAdapter, "project", lambda self, gradients: seen.append([one.clone() for one in gradients])
    )
    second = o_lora.learn(stage_of(base, tmp_path, "one", "two", kept=[first], knob=5.0)).tensors
    start = new_adapter(stage_of(base, tmp_path, "one", "two"), query_and_value(base.model))
    for gradient, (name, values) in zip(seen[0], start.items(), strict=True):
        if name.startswith(A):
            expected = 5.0 * (values @ first[name].T).sign() @ first[name]
            torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)
    free = o_lora.learn(stage_of(base, tmp_path, "one", "two", kept=[first], knob=0.0)).tensors
    assert o_lora.overlap([first], second) < o_lora.overlap([first], start)
    assert o_lora.overlap([first], second) < o_lora.overlap([first], free)


def test_all_adapters_of_o_lora_answer(tmp_path):
    base = loaded_of("llama")
    kept = [random_adapter(base, 1), random_adapter(base, 2)]
    for adapters in (kept[:1], kept):
        with adapters_put(base.model, adapters):
            expected = logits_of(base)
        for rows, task in o_lora.answering(state_of(base, *adapters), PROMPTS, None):
            assert (rows, task) == (list(range(8)), "") and torch.equal(logits_of(base), expected)


# ---- answering ----


def learnt_states(base, folder: Path):
    for module in METHODS:
        yield module, state_of(base, *[one.tensors for one in learn_both(module, base, folder)])


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "phi3"])
def test_answering_leaves_the_very_bits(family, tmp_path):
    base = loaded_of(family)
    before, plain = Snapshot(base.model), logits_of(base)
    random = torch.get_rng_state()
    for module in METHODS:
        if (family, module) == ("gpt2", osf):
            continue
        state = state_of(base, *[one.tensors for one in learn_both(module, base, tmp_path)])
        torch.set_rng_state(random)
        answered = []
        for rows, task in module.answering(state, PROMPTS, None):
            answered += rows
            assert torch.equal(logits_of(base), plain) == (task == routing.NONE)
            assert not base.model.training and not any(one.training for one in base.model.modules())
        assert sorted(answered) == list(range(8))
        before.check()
        abandoned = module.answering(state, PROMPTS, None)
        next(abandoned)
        abandoned.close()
        before.check()
        failing = module.answering(state, PROMPTS, None)
        next(failing)
        with pytest.raises(KilledError):
            failing.throw(KilledError())
        before.check()
        assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("module", METHODS, ids=NAMES)
def test_a_training_that_fails_leaves_nothing_behind(module, tmp_path, monkeypatch):
    base = loaded_of("llama")
    before = Snapshot(base.model)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(2, patch)
        module.learn(stage_of(base, tmp_path))
    base.model.eval()  # the loop's own, which the process that died had no time for
    before.check()


@pytest.mark.parametrize("module", METHODS, ids=NAMES)
def test_a_killed_training_goes_on_to_the_same_bits(module, steps, tmp_path, monkeypatch):
    base = loaded_of("llama")
    first = module.learn(stage_of(base, tmp_path)).tensors
    kept = [first] if module.LEARNS == "in sequence" else []
    start = copy.deepcopy(base.model.state_dict())
    learn = partial(module.learn, stage_of(base, tmp_path, "one", "two", kept=kept))
    whole = learn()
    stage_of(base, tmp_path).checkpoint.remove()
    steps.clear()
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_at(2, patch)
        learn()
    base.model.load_state_dict(start)
    resumed = learn()
    assert len(steps) == 4
    assert resumed.tensors.keys() == whole.tensors.keys()
    assert all(torch.equal(resumed.tensors[name], tensor) for name, tensor in whole.tensors.items())
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)


@pytest.mark.parametrize("module", METHODS, ids=NAMES)
def test_with_weights_in_bfloat16_what_trains_is_float32(module, tmp_path):
    base = loaded_of("llama")
    base = replace(base, compute=Compute(torch.device("cpu"), torch.bfloat16, torch.bfloat16))
    base.model.bfloat16()
    before = Snapshot(base.model)
    learnt = module.learn(stage_of(base, tmp_path))
    before.check(bits=module is not osf)
    trained = [tensor for name, tensor in learnt.tensors.items() if name.startswith((A, B, epi.PREFIX))]
    assert all(tensor.dtype == torch.float32 for tensor in trained) and bool(trained) == (module is not osf)
    assert learnt.history["loss"].notna().all()
    for rows, _ in module.answering(state_of(base, learnt.tensors), PROMPTS[:4], None):
        with base.compute.autocast():
            assert logits_of(base, [PROMPTS[row] for row in rows]).isfinite().all()


@pytest.mark.parametrize("module", METHODS, ids=NAMES)
def test_gradient_checkpointing_changes_nothing(module, tmp_path):
    base = loaded_of("llama")
    start, stage = copy.deepcopy(base.model.state_dict()), stage_of(base, tmp_path)
    plain = module.learn(stage).tensors
    base.model.load_state_dict(start)
    settings = TRAINING.model_copy(update={"gradient_checkpointing": True})
    found = module.learn(replace(stage, training=settings)).tensors
    for name, tensor in plain.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)


# ---- OSF ----


def test_the_preserved_share_grows_with_the_tasks():
    assert [osf.preserved_share(learnt) for learnt in (0, 1, 2, 3, 7)] == pytest.approx([0.3, 0.5, 0.7, 0.9, 0.9])


@pytest.mark.parametrize("family", ["llama", "bloom", "phi3", "falcon"])
def test_osf_keeps_the_largest_singular_directions(family, tmp_path):
    """The change of each weight, projected onto the kept singular vectors of a float64 decomposition, is rounding."""
    base = loaded_of(family)
    first = osf.learn(stage_of(base, tmp_path)).tensors
    second = osf.learn(stage_of(base, tmp_path, "one", "two", kept=[first])).tensors
    weights = {f"{path}.weight" for path in osf.linear_modules(base.model)}
    assert len(weights) == {"llama": 21, "bloom": 12, "phi3": 12, "falcon": 12}[family]
    start = {name: tensor.detach() for name, tensor in loaded_of(family).model.named_parameters()}
    for share, before, after in ((0.3, start, model_of(first)), (0.5, model_of(first), model_of(second))):
        assert before.keys() == after.keys()
        for name, weight in before.items():
            if name not in weights:
                assert torch.equal(weight, after[name]), name
                continue
            u, s, v = torch.linalg.svd(weight.double(), full_matrices=False)
            rank = int(len(s) * share)
            change = after[name].double() - weight.double()
            assert change.norm() > 1e-2 * weight.norm()
            assert (u[:, :rank].T @ change).norm() < 1e-5 * weight.norm(), name
            assert (change @ v[:rank].T).norm() < 1e-5 * weight.norm(), name


def test_osf_is_refused_where_peft_has_none(tmp_path):
    with pytest.raises(UserError, match="OSF is not available for gpt2"):
        osf.learn(stage_of(loaded_of("gpt2"), tmp_path))
    with pytest.raises(UserError, match="mixtures of experts"):
        osf.learn(stage_of(loaded_of("mixtral"), tmp_path))


# ---- the task of an input ----


def gaussians(rng, dimensions: int, tasks: int, each: int, distance: float):
    """Features and classes of tasks with two classes each, around means that far from each other."""
    means = distance * np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0][: 2 * tasks].reshape(tasks, 2, -1)
    scale = rng.uniform(0.5, 2, dimensions)
    classes = torch.arange(each) % 2

    def draw(task: int) -> torch.Tensor:
        return torch.from_numpy(means[task][classes] + scale * rng.normal(size=(each, dimensions)))

    return draw, classes


def kept_of(drawn: torch.Tensor, classes: torch.Tensor):
    return {**features.statistics(drawn, classes), features.REACH: features.reach(drawn, classes)}


@pytest.mark.parametrize(("dimensions", "each"), [(8, 200), (100, 100)])
def test_the_task_of_separable_gaussians_is_found_and_an_unknown_one_told(dimensions, each):
    """In 100 dimensions a task has as many train prompts as dimensions."""
    draw, classes = gaussians(np.random.default_rng(0), dimensions, 4, each, 30)
    kept = [kept_of(draw(task), classes) for task in range(3)]
    test = torch.cat([draw(task) for task in range(3)])
    truth = torch.arange(3).repeat_interleave(each)
    assert torch.equal(features.squared_distances(kept, test).argmin(dim=1), truth)
    assert routing.known(kept, test).float().mean() > 0.95
    assert not routing.known(kept, draw(3)).any()  # a task that was not learnt


def test_distances_and_limits_worked_with_numpy():
    rng = np.random.default_rng(1)
    draw, classes = gaussians(rng, 3, 1, 11, 2)
    one, other, points = draw(0), draw(0) + 5, torch.from_numpy(rng.normal(size=(4, 3)))

    def fitted(values: np.ndarray, labels: np.ndarray):
        means = np.stack([values[labels == label].mean(axis=0) for label in (0, 1)])
        around = values - means[labels]
        return means, sum(one[:, None] * one for one in around)

    def distance(point: np.ndarray, means: np.ndarray, scatter: np.ndarray, count: int) -> float:
        covariance = 0.9 * scatter / count + 0.1 * np.trace(scatter / count) / 3 * np.eye(3)
        return min((point - mean) @ np.linalg.inv(covariance) @ (point - mean) for mean in means)

    labels = classes.numpy()
    (means, scatter), (others, more) = fitted(one.numpy(), labels), fitted(other.numpy(), labels)
    kept = [kept_of(one, classes), kept_of(other, classes)]
    expected = [[distance(point, each, scatter + more, 22) for each in (means, others)] for point in points.numpy()]
    np.testing.assert_allclose(features.squared_distances(kept, points), expected)
    held_out = []
    order = np.argsort(labels, kind="stable")  # a fifth of each class at a time
    fold = np.empty(11, dtype=int)
    fold[order] = np.arange(11) % 5
    for number, point in enumerate(one.numpy()):
        rest = fold != fold[number]
        held_out.append(distance(point, *fitted(one.numpy()[rest], labels[rest]), rest.sum()))
    assert kept[0][features.REACH].item() == pytest.approx(np.percentile(held_out, 99))


def test_few_or_equal_prompts_make_features(tmp_path):
    base = loaded_of("llama")
    only = features.task_features(base, Lesson("one", PAIRS["one"][:1]))
    assert only[features.REACH] == float("inf") and len(only[features.MEANS]) == 1
    texts = features.task_features(base, Lesson("one", [([5, 6, number], [number]) for number in range(20, 26)]))
    assert texts[features.MEANS].shape == (1, 16) and texts[features.SCATTER].any()  # targets that do not repeat
    same = features.task_features(base, Lesson("one", PAIRS["one"][:1] * 6))
    inputs = features.prompt_features(base, PROMPTS[:2])
    assert not routing.known([same], inputs[1:]).any()
    classes = features.task_features(base, Lesson("one", PAIRS["one"] * 2))
    assert len(classes[features.MEANS]) == 2 and classes[features.COUNT] == 8


def of_words(words: range, number: int, rng) -> list[list[int]]:
    return [rng.choice(words, size=rng.integers(6, 12)).tolist() for _ in range(number)]


@pytest.mark.parametrize(("module", "means"), [(epi, 2), (routed_lora, 1)], ids=["EPI", "Routed LoRA"])
def test_inputs_are_answered_by_their_task(module, means, tmp_path):
    base, rng = loaded_of("llama"), np.random.default_rng(0)
    words = {"one": range(10, 14), "two": range(100, 104)}
    kept, before = [], logits_of(base)
    for task, vocabulary in words.items():
        pairs = [(prompt, [number % 2]) for number, prompt in enumerate(of_words(vocabulary, 40, rng))]
        stage = replace(stage_of(base, tmp_path), lessons=[Lesson(task, pairs)])
        learnt = module.learn(replace(stage, training=TRAINING.model_copy(update={"batch_size": 40})))
        kept.append(learnt.tensors)
        router = 8 * (means * 16 + 16 * 16 + 1 + 1)  # means of its classes or of the task, scatter, count, limit
        assert learnt.kept_bytes == 4 * learnt.parameters + router
    of_each = [of_words(vocabulary, 5, rng) for vocabulary in (*words.values(), range(200, 204))]
    prompts = [of_task[number] for number in range(5) for of_task in of_each]
    found, answers = {}, {}
    for rows, task in module.answering(state_of(base, *kept), prompts, None):
        found[task], answers[task] = rows, logits_of(base)
    assert found == {task: list(range(at, 15, 3)) for at, task in enumerate(("one", "two", "none"))}
    assert torch.equal(answers["none"], before)
    put = partial(prefix_put, base) if module is epi else lambda one: adapters_put(base.model, [one])
    for task, tensors in zip(words, kept, strict=True):
        with put(tensors[epi.PREFIX] if module is epi else tensors):
            assert torch.equal(answers[task], logits_of(base)) and not torch.equal(answers[task], before)


@pytest.mark.parametrize(
    ("family", "percent", "rank", "modules"),
    [
        ("llama", 20, 3, 6),  # 14 neurons of 3·16 values: 14·200 bytes; q and v: 6·32·4 bytes a rank
        ("llama", 100, 6, 15),  # 72·200 bytes would be rank 18 of 16; with the FFN 2208 bytes a rank
        ("llama", 0.1, 1, 6),  # one neuron
        ("gpt2", 20, 6, 3),  # 38 neurons of 33 values: 38·140 bytes; c_attn: 3·64·4 bytes a rank
    ],
)
def test_routed_lora_takes_as_many_bytes_as_neurons(family, percent, rank, modules, tmp_path):
    base = loaded_of(family)
    paths, found = routed_lora.modules_and_rank(base.model, stage_of(base, tmp_path, percent=percent).settings)
    assert (found, len(paths), len(set(paths))) == (rank, modules, modules)


# ---- prefixes ----


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "mistral", "qwen3", "gpt_neox", "bloom", "gemma2", "opt"])
def test_a_prefix_does_what_pefts_does(family, tmp_path):
    """Against PEFT's model with the same keys and values, whose tokens are moved back by the prefix's length."""
    base = loaded_of(family)
    prefix = new_prefix(stage_of(base, tmp_path)).detach()
    with prefix_put(base, prefix):
        found = logits_of(base)
    assert (found - logits_of(base)).abs().max() > 1e-3
    config = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=16)
    wrapped = PeftModelForCausalLM(copy.deepcopy(base.model), config).eval()
    layers, _, heads, tokens, width = prefix.shape
    assert (layers, heads, tokens, width) == (3, 2, 16, 8)
    wrapped.prompt_encoder["default"].load_prompt_embeddings(prefix.permute(3, 0, 1, 2, 4).reshape(16, -1))
    batch = collate([(prompt, [0]) for prompt in PROMPTS], base.compute.device)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if family != "bloom":
        inputs["position_ids"] = torch.arange(batch.input_ids.shape[1]).expand_as(batch.input_ids) - 16
    with torch.no_grad():
        expected = wrapped(**inputs, logits_to_keep=batch.predicts, use_cache=False).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", list(TINY))
@pytest.mark.parametrize("prompts", [[[5, 6, 7, 8], [30, 31], [9]], [[5, 6, 7, 8], [30, 31, 9, 5]]])
def test_generation_behind_a_prefix_is_greedy(family, prompts, tmp_path):
    """Left-padded or of one length, and cached, against one token at a time without a cache."""
    base = loaded_of(family)
    base.model.double()
    shape = (len(prompts), 4)
    ids, attention = torch.full(shape, 1), torch.zeros(shape, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, 4 - len(prompt) :], attention[row, 4 - len(prompt) :] = torch.tensor(prompt), 1
    with prefix_put(base, new_prefix(stage_of(base, tmp_path)).detach()):
        output = base.model.generate(
            input_ids=ids,
            attention_mask=attention,
            max_new_tokens=5,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=1,
        )
        expected = [list(prompt) for prompt in prompts]
        for _ in range(5):
            for one in expected:
                one.append(logits_of(base, [one]).argmax().item())
    for row, (prompt, one) in enumerate(zip(prompts, expected, strict=True)):
        assert output[row, 4:].tolist() == one[len(prompt) :]


def test_tokens_keep_their_positions_behind_a_prefix(tmp_path):
    """A text that is as long as the table of positions, 128."""
    base = loaded_of("gpt2")
    with prefix_put(base, new_prefix(stage_of(base, tmp_path)).detach()):
        assert logits_of(base, [[5] * 127]).isfinite().all()
