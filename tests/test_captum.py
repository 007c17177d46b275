"""The engine's products are those of captum's LayerGradientXActivation, on the same model and loss."""

import torch
from captum.attr import LayerGradientXActivation

from conftest import readers, tiny_model
from taskneurons.attribution.products import sample_products
from taskneurons.data.encoding import collate, sample_losses
from taskneurons.neurons.blocks import widths

PAIRS = [([5, 6, 7, 8], [9, 10]), ([11, 12], [13]), ([14, 15, 16, 17, 18, 19], [20, 21, 22])]


def test_products_equal_captums():
    model = tiny_model("llama").requires_grad_(False)
    batch = collate(PAIRS, torch.device("cpu"))
    captum = LayerGradientXActivation(lambda ids: sample_losses(model, batch), readers(model))
    found = captum.attribute(batch.input_ids, attribute_to_layer_input=True)
    found = [product[0] if isinstance(product, tuple) else product for product in found]
    ours = sample_products(model, batch).split(widths(model), dim=1)
    for product, own in zip(found, ours, strict=True):
        assert (product.sum(dim=1) - own).abs().max() <= 1e-5 * own.abs().max()
        assert own.abs().max() > 0
