"""The paper's score."""

import numpy as np

from taskneurons.attribution.measuring import CriterionSettings
from taskneurons.attribution.scores import attribute
from taskneurons.data.encoding import Pair
from taskneurons.models.loaded import LoadedModel

MIXTURES = True


def values(loaded: LoadedModel, pairs: list[Pair], settings: CriterionSettings) -> np.ndarray:
    """The paper's score: |Σ_tokens ω·∂L/∂ω|, mean over samples (or as settings say); ω − ω̄ where there are means."""
    sums = attribute(loaded, pairs, settings, np.zeros((0, len(pairs))), "attribution", settings.means)
    return np.abs(sums.score) / sums.samples
