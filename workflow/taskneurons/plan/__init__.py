"""What a run takes before it runs: memory, time and disk of every job, from the model's config and the run's alone.

It imports nothing heavy: Snakemake asks it for every job's resources while it plans.
"""
