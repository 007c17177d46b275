"""Random sets are matched to the mask that they are drawn like, over all layers or in each."""

import numpy as np
import pytest

from taskneurons.neurons.mask_file import read_mask, write_mask
from taskneurons.neurons.neuron_set import NeuronSet
from taskneurons.selection.random_sets import RandomSettings, main

WIDTHS = (40, 60)


@pytest.mark.parametrize("scope", ["global", "per-layer"])
def test_drawn_as_many_as_the_mask_has(tmp_path, scope):
    selected = np.arange(100) < 17  # all in the first layer
    made = {"set": "task", "rule": "global", "k": 17, "model": "model"}
    write_mask(tmp_path / "like.parquet", NeuronSet(selected, WIDTHS), [None, None], np.zeros(100), made)
    masks = [tmp_path / f"{draw}.parquet" for draw in (0, 1)]
    main(RandomSettings(seed=0, draws=[0, 1], random_scope=scope), like=tmp_path / "like.parquet", masks=masks)
    found = [read_mask(path) for path in masks]
    assert [len(neurons) for neurons, _ in found] == [17, 17]
    assert [(mask["set"], mask["draw"], mask["k"], mask["model"]) for _, mask in found] == [
        ("random-0", 0, 17, "model"),
        ("random-1", 1, 17, "model"),
    ]
    assert found[0][0] != found[1][0]
    assert (list(found[0][0].counts()) == [17, 0]) == (scope == "per-layer")
