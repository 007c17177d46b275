"""Rules that select a task's neurons, one file each, found by name (`damage.rules` in the config).

A rule's file (`<name>.py`, hyphens as underscores) holds `select(compared, k)`, the set of neurons; VALUES, the
criterion whose values it looks at (attribution: the scores; or a forward-only criterion); and COMPARES, whether it
looks at the values of all tasks or at the task's own alone. Imports neurons, and `comparison` beside this folder.
"""
