"""What every step shares and no number depends on: artifacts, errors, log, progress, the runner. Imports nothing of the
library; its code is in no step's identity, but for FORMAT in `artifacts`, which is raised by hand."""
