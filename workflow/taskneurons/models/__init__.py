"""Models as artifacts: importing the base model, loading one for a step. Imports data, neurons and below."""
