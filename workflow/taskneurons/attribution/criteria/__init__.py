"""Criteria that say how much a task needs a neuron: the paper's score and its rivals, one file each, found by name.

A criterion's file (`<name>.py`, hyphens as underscores) holds `values(loaded, pairs, settings)`: one value a neuron,
float64 (n_neurons,), larger for more important; and MIXTURES, whether it can be computed on mixtures of experts.
Imports what attribution may import, and `measuring`, `products` and `scores` beside this folder.
"""
