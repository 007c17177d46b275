"""Mean hidden states of whole examples: what a model makes of an input, as one vector."""

import torch

from taskneurons.attribution.products import batch_results
from taskneurons.config.settings import Passes
from taskneurons.data.encoding import Batch, Pair, at_least_float32
from taskneurons.models.loaded import LoadedModel


@torch.no_grad()
def mean_features(loaded: LoadedModel, pairs: list[Pair], passes: Passes) -> torch.Tensor:
    """The last layer's hidden states (behind the final norm), mean over an example's tokens: float64 (examples, d).

    An example's tokens are those of its prompt and its target; padding counts for nothing.
    """

    def features(batch: Batch) -> torch.Tensor:
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        with loaded.compute.autocast():
            states = loaded.model.base_model(**inputs, use_cache=False).last_hidden_state  # (B, T, d)
        states = at_least_float32(states).cpu()
        counted = batch.attention_mask.cpu().unsqueeze(-1).to(states)
        return ((states * counted).sum(dim=1) / counted.sum(dim=1)).double()

    rows, parts = [], []
    for numbers, values in batch_results(loaded, pairs, passes, features, None):
        rows += numbers
        parts.append(values)
    found = torch.cat(parts)
    return found[torch.tensor(rows).argsort()]
