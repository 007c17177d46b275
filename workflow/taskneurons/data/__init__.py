"""The tasks' data, from source to token ids and batches. Imports neurons (no more than that), config and core."""
