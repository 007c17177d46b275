"""Section 1: a task's own neurons by rule, and random sets, of stored scores. Imports neurons, config and core."""
