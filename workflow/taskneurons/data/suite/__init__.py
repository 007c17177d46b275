"""The embedded suite: twelve generated tasks in six families, and their plain text. Imports nothing else."""
