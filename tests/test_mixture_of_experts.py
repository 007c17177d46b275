"""Mixtures of experts: scores, masks and deactivation, against transformers' own eager experts."""

import copy

import numpy as np
import pytest
import torch

from conftest import MIXTURES, tiny_model
from taskneurons.attribution.measuring import CriterionSettings
from taskneurons.attribution.products import sample_products
from taskneurons.core.errors import UserError
from taskneurons.core.named import named, names
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.deactivation.exact_ablation import loss_changes
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.models.loaded import Compute, LoadedModel
from taskneurons.neurons.blocks import blocks, experts, visiting_outputs, widths
from taskneurons.neurons.layout import neuron_index, neuron_positions
from taskneurons.neurons.mask_file import read_mask, write_mask
from taskneurons.neurons.matrices import reader_columns
from taskneurons.neurons.neuron_set import NeuronSet, random_set

PAIRS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([14, 15, 16, 17, 18, 19], [20, 21, 22])]
CPU = torch.device("cpu")
SETTINGS = CriterionSettings(aggregation="sample", loss="mean", batch_size=2, batch_tokens=1000, steps=2, layers=[0])


@pytest.fixture(params=list(MIXTURES))
def mixture(request):
    """A tiny random mixture of experts, with transformers' eager experts."""
    model = tiny_model(request.param)
    model.set_experts_implementation("eager")
    return model


def on_cpu(model):
    return LoadedModel(model, None, {}, Compute(CPU, torch.float32))


@pytest.mark.parametrize("implementation", ["eager", "grouped_mm", "batched_mm"])
def test_visiting_changes_nothing(mixture, implementation):
    """The experts one after the other give the logits of transformers' implementations, and those are back after."""
    ids = torch.randint(300, (2, 7), generator=torch.Generator().manual_seed(0))
    mixture.set_experts_implementation(implementation)
    seen = []
    with torch.no_grad():
        before = mixture(input_ids=ids).logits
        with visiting_outputs(mixture, lambda site, omega: seen.append(site.block) or omega):
            inside = mixture(input_ids=ids).logits
        after = mixture(input_ids=ids).logits
    assert torch.allclose(inside, before, atol=1e-5)
    assert torch.equal(before, after)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def test_signed_sum_equals_weight_gradient_in_float64(mixture):
    """Routing weights multiply behind the reader, so the identity holds expert by expert with its unweighted input."""
    mixture = mixture.double()
    for pair in PAIRS:
        batch = collate([pair], CPU)
        mixture.requires_grad_(True)
        mixture.zero_grad()
        sample_losses(mixture, batch).sum().backward()
        terms = []
        for block in blocks(mixture):
            weight = block.module.weight if block.expert is None else block.module.down_proj
            products = (weight * weight.grad).detach()
            terms.append(products if block.expert is None else products[block.expert])
        mixture.requires_grad_(False)
        expected = torch.cat([term.sum(dim=0) for term in terms])
        bound = torch.cat([term.abs().sum(dim=0) for term in terms])
        got = sample_products(mixture, batch)[0]
        assert got.abs().max() > 0
        assert ((got - expected).abs() <= 1e-9 * bound + 1e-18).all()


def test_batching_changes_nothing(mixture):
    together = sample_products(mixture, collate(PAIRS, CPU))
    alone = torch.cat([sample_products(mixture, collate([pair], CPU)) for pair in PAIRS])
    assert torch.allclose(together, alone, rtol=1e-4, atol=2e-5 * alone.abs().max())


def test_deactivation_equals_zeroed_columns(mixture):
    neurons = random_set(40, widths(mixture), seed=3)
    zeroed = copy.deepcopy(mixture)
    start = 0
    with torch.no_grad():
        for columns in reader_columns(zeroed):
            flags = neurons.selected[start : start + columns.shape[1]]
            columns[:, torch.from_numpy(flags)] = 0
            start += len(flags)
        ids = torch.randint(300, (2, 7), generator=torch.Generator().manual_seed(0))
        expected = zeroed(input_ids=ids).logits
        with deactivated(mixture, neurons):
            inside = mixture(input_ids=ids).logits
        assert torch.allclose(inside, expected, atol=1e-5)
        assert not torch.allclose(inside, mixture(input_ids=ids).logits, atol=1e-5)


def test_exact_effects_equal_single_sets(mixture):
    """Another neuron off in each row, against the same neuron off as a set."""
    total = sum(widths(mixture))
    neurons = list(range(0, total, total // 9))
    found = loss_changes(on_cpu(mixture), PAIRS, neurons, SETTINGS.model_copy(update={"batch_size": 4}))
    for column, neuron in enumerate(neurons):
        for row, pair in enumerate(PAIRS):
            flags = np.arange(total) == neuron
            batch = collate([pair], CPU)
            with torch.no_grad():
                whole = sample_losses(mixture, batch)
                with deactivated(mixture, NeuronSet(flags, tuple(widths(mixture)))):
                    off = sample_losses(mixture, batch)
            assert found[row, column] == pytest.approx((off - whole).item(), abs=2e-6)


def test_masks_name_the_expert(mixture, tmp_path):
    sizes, number = widths(mixture), experts(mixture)
    index = neuron_index(sizes, number)
    assert (neuron_positions(index, sizes, number) == np.arange(sum(sizes))).all()
    assert index.groupby(["layer", "expert"], dropna=False).size().tolist() == [
        block.width for block in blocks(mixture)
    ]
    neurons = random_set(30, sizes, seed=0)
    write_mask(tmp_path / "mask.parquet", neurons, number, np.arange(sum(sizes), dtype=float), {"set": "x"})
    assert read_mask(tmp_path / "mask.parquet")[0] == neurons
    dense = index["expert"].isna()
    assert sorted(index.loc[dense, "layer"].unique()) == [layer for layer, some in enumerate(number) if some is None]


def test_criteria_that_need_dense_layers_say_so(mixture):
    """What a criterion's file says of mixtures is what it does."""
    criteria = {name: named("attribution.criteria", name) for name in names("attribution.criteria")}
    available = {name for name, criterion in criteria.items() if criterion.MIXTURES}
    assert available == {"attribution", "gradient-norm", "activation", "weight-activation", "random"}
    for name, criterion in criteria.items():
        if name in available:
            values = criterion.values(on_cpu(mixture), PAIRS, SETTINGS)
            assert values.shape == (sum(widths(mixture)),) and values.max() > 0
        else:
            with pytest.raises(UserError, match="not available for mixtures of experts"):
                criterion.values(on_cpu(mixture), PAIRS, SETTINGS)
