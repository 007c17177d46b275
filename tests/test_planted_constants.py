"""Neurons with a large constant output, planted among those that carry a task: they hold the model up and tell nothing.

To the models of `test_planted_neurons.py` comes a coordinate of the residual stream that is 1 at every token. Constant
neurons see it alone, and write so much to the answers that the model works only with them: the embedding takes away
what they write together. A score from zero finds them as important as they look; one from the mean, as all that they
say.
"""

import numpy as np
import pytest
import torch

from taskneurons.attribution.mean_outputs import MassiveTokens, task_means
from taskneurons.config.settings import Passes
from taskneurons.core.named import named
from taskneurons.deactivation.exact_ablation import exact_effect, loss_changes
from taskneurons.deactivation.switch_off import deactivated
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.models.loaded import Compute, LoadedModel
from taskneurons.neurons.blocks import widths
from taskneurons.neurons.mean_outputs import MeanOutputs
from taskneurons.neurons.neuron_set import NeuronSet
from test_planted_neurons import CPU, KEYS, LAYERS, SETTINGS, WIDTH, examples, planted_model, precision

ONE = 3 * KEYS - 1  # the coordinate that is 1, taken from the waste
PASSES = Passes(batch_size=16, batch_tokens=4096)


def model_with_constants(seed):
    """The model with its means, and the flags of its planted and of its constant neurons."""
    model, planted = planted_model(seed)
    rng = np.random.default_rng(seed)
    constant = np.zeros(LAYERS * WIDTH, dtype=bool)
    constant[rng.choice(np.flatnonzero(~planted), 6, replace=False)] = True
    answers = slice(KEYS, 2 * KEYS)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, ONE] = 1.0
        for layer in model.model.layers:
            layer.mlp.down_proj.weight[ONE] = 0
        for index in np.flatnonzero(constant):
            mlp, neuron = model.model.layers[index // WIDTH].mlp, index % WIDTH
            mlp.gate_proj.weight[neuron], mlp.up_proj.weight[neuron] = 0, 0
            mlp.gate_proj.weight[neuron, ONE], mlp.up_proj.weight[neuron, ONE] = 4.0, 5.0
            mlp.down_proj.weight[:, neuron] = 0
            mlp.down_proj.weight[answers, neuron] = torch.from_numpy(rng.normal(size=KEYS)).float()
            omega = 5.0 * mlp.act_fn(torch.tensor(4.0))
            model.model.embed_tokens.weight[:, answers] -= omega * mlp.down_proj.weight[answers, neuron]
    loaded = LoadedModel(model, None, {}, Compute(CPU, torch.float32))
    values, _ = task_means(loaded, examples(seed), PASSES, "keys", MassiveTokens())
    return loaded, MeanOutputs(values, tuple(widths(model))), planted, constant


def loss(loaded, pairs, flags=None, means=None):
    neurons = None if flags is None else NeuronSet(flags, tuple(widths(loaded.model)))
    with deactivated(loaded.model, neurons, means):
        return np.mean(target_losses(loaded, pairs, PASSES, "keys"))


@pytest.mark.parametrize("seed", range(3))
def test_constants_score_nothing_from_the_mean(seed):
    loaded, means, planted, constant = model_with_constants(seed)
    criterion = named("attribution.criteria", "attribution")
    from_zero, from_mean = (
        criterion.values(loaded, examples(seed), SETTINGS.model_copy(update={"means": one})) for one in (None, means)
    )
    assert from_zero[constant].max() > from_zero[planted].max()  # they look more important than what carries the task
    assert from_mean[constant].max() < 1e-4 * from_mean[planted].max()
    assert precision(from_mean, planted) >= 0.99
    assert precision(from_zero, planted) < 0.9


@pytest.mark.parametrize("seed", range(3))
def test_constants_cost_nothing_at_their_mean_and_everything_at_zero(seed):
    loaded, means, planted, constant = model_with_constants(seed)
    pairs = examples(seed)
    whole = loss(loaded, pairs)
    assert loss(loaded, pairs, constant, means) == pytest.approx(whole, abs=1e-4)
    assert loss(loaded, pairs, constant) > whole + 5
    assert loss(loaded, pairs, planted, means) > whole + 0.5


def test_exact_effects_of_mean_ablation_agree_with_scores_from_the_mean():
    loaded, means, planted, constant = model_with_constants(0)
    pairs = examples(0, number=20)
    everything = list(range(len(planted)))
    found = {
        name: exact_effect(loss_changes(loaded, pairs, everything, SETTINGS, one), "sample")
        for name, one in (("zero", None), ("mean", means))
    }
    scores = named("attribution.criteria", "attribution").values(
        loaded, pairs, SETTINGS.model_copy(update={"means": means})
    )
    assert found["mean"][constant].max() < 1e-4 < 1 < found["zero"][constant].max()
    assert precision(found["mean"], planted) >= 0.99
    assert precision(found["zero"], planted) < 0.9
    told = planted | constant
    ranks = [np.argsort(np.argsort(values[told].round(6), kind="stable")) for values in (found["mean"], scores)]
    assert np.corrcoef(*ranks)[0, 1] > 0.8
