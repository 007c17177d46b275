"""The findings: the paper's claims, held against a run's tables, a module a part of the paper. Imports tables and below."""
