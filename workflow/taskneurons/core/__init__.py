"""What all steps share and no number depends on: artifacts, errors, log, runner. Imports nothing of the library."""
