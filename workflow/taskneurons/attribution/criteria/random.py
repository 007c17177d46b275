"""The control that knows nothing."""

import numpy as np

from taskneurons.attribution.measuring import CriterionSettings
from taskneurons.data.encoding import Pair
from taskneurons.models.loaded import LoadedModel
from taskneurons.neurons.blocks import widths

MIXTURES = True


def values(loaded: LoadedModel, pairs: list[Pair], settings: CriterionSettings) -> np.ndarray:
    """Numbers that know nothing; settings.seed is whatever numpy takes as one."""
    return np.random.default_rng(settings.seed).random(sum(widths(loaded.model)))
