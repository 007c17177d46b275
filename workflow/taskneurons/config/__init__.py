"""The typed settings of a run and of its steps, with defaults, bounds and a docstring a key. Imports core."""
