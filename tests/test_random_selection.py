"""Random sets are matched to the mask that they are drawn like, over all layers or in each."""

import argparse

import numpy as np
import pytest

from taskneurons import random_selection
from taskneurons.neurons.neuron_set import NeuronSet, read_mask, write_mask

WIDTHS = (40, 60)


@pytest.mark.parametrize("scope", ["global", "per-layer"])
def test_drawn_as_many_as_the_mask_has(tmp_path, scope):
    selected = np.arange(100) < 17  # all in the first layer
    made = {"set": "task", "rule": "global", "k": 17, "model": "model"}
    write_mask(tmp_path / "like.parquet", NeuronSet(selected, WIDTHS), [None, None], np.zeros(100), made)
    found = []
    for draw in (0, 1):
        spec = {"seed": 0, "draw": draw, "random_scope": scope}
        out = tmp_path / f"{draw}.parquet"
        random_selection.main(argparse.Namespace(spec=spec, like=tmp_path / "like.parquet", out=out))
        found.append(read_mask(out))
    assert [len(neurons) for neurons, _ in found] == [17, 17]
    assert [facts["set"] for _, facts in found] == ["random-0", "random-1"]
    assert found[0][0] != found[1][0]
    assert (list(found[0][0].counts()) == [17, 0]) == (scope == "per-layer")
