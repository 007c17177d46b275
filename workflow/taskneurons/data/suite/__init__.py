"""The embedded suite: twelve generated tasks in six families with their plain text, and eight to be learnt in turn.

Imports nothing else.
"""
