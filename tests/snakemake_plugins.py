"""Snakemake with its plugins found, which takes it as long as a good part of a dry-run; imported where forks begin."""

from snakemake.cli import get_argument_parser

get_argument_parser()
