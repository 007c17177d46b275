"""What a neuron is: families, the parts of a model that hold neurons, sets, masks. Imports config and core."""
