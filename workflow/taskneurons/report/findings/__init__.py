"""The findings: the paper's claims, held against a run's tables. Imports tables and below."""
