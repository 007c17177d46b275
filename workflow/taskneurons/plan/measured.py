"""What the jobs of a run took, beside what they were to do: `python -m taskneurons.plan.measured PLAN RUN OUT`.

A row a job whose stats lie beside its log: its rule, what it asked of its model (the columns of `Work`), the host's
peak memory (MiB) and the CPU time (s). The plan's factors are held against such files (docs/results/*/jobs.csv).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd


def measured_jobs(plan: dict[str, Any], folder: Path) -> pd.DataFrame:
    """The jobs of a plan that have run.

    Args:
        folder: where snakemake ran.
    """
    rows = []
    for job in plan["jobs"]:
        stats = (folder / job["log"]).with_suffix(".stats.json")
        if stats.exists():
            took = json.loads(stats.read_text())
            taken = {name: took[name] for name in ("peak_memory_mib", "cpu_seconds", "machine")}
            rows.append({"rule": job["rule"], **job["work"], "threads": job["threads"], **taken})
    return pd.DataFrame(rows)


def main() -> None:
    """Write the jobs of a plan that have run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="what `TASKNEURONS_PLAN=FILE snakemake -n --forceall` wrote")
    parser.add_argument("folder", type=Path, help="where snakemake ran")
    parser.add_argument("out", type=Path, help="the CSV file to write")
    given = parser.parse_args()
    measured_jobs(json.loads(given.plan.read_text()), given.folder).to_csv(given.out, index=False)


if __name__ == "__main__":
    main()
