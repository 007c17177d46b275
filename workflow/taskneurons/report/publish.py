"""Copy a run's tables and figures to a folder for committing, with a `run.json` that says what made which.

A run may be published in parts, as its tables are finished, on several machines: what it has replaces what was there of
the same names, and the rest stays with the record of the run that made it.
"""

import argparse
import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from taskneurons.core.artifacts import write_json
from taskneurons.core.chain import METADATA_KEY
from taskneurons.core.errors import UserError


def step_statistics(run: Path) -> dict[str, Any]:
    """Seconds of all steps, the largest memory of one, commit and machine, from the side files of the logs."""
    stats = {path: json.loads(path.read_text()) for path in sorted((run / "logs").rglob("*.stats.json"))}
    if not stats:
        raise UserError(f"{run}/logs holds no *.stats.json: the run is not finished, or was made without logs")
    ends = {path: path.stat().st_mtime for path in stats}
    by_step: dict[str, float] = {}
    for path, stat in stats.items():
        step = path.relative_to(run / "logs").parts[0].removesuffix(".stats.json")
        by_step[step] = round(by_step.get(step, 0) + stat["wall_seconds"], 1)
    return {
        "commit": _one_or_all({stat["commit"] for stat in stats.values()}),
        "machine": _one_or_all({stat["machine"] for stat in stats.values()}),
        "seconds_of_all_steps": round(sum(stat["wall_seconds"] for stat in stats.values())),
        "cpu_seconds": round(sum(stat["cpu_seconds"] for stat in stats.values())),
        "seconds_by_step": by_step,
        "peak_memory_mib": max(stat["peak_memory_mib"] for stat in stats.values()),
        "date": datetime.fromtimestamp(max(ends.values()), UTC).strftime("%Y-%m-%d"),
    }


def _one_or_all(values: set[str]) -> str | list[str]:
    """What all steps share, or, where they differ, every value."""
    return values.pop() if len(values) == 1 else sorted(values)


def _provenance(run: Path) -> dict[str, Any]:
    """Of some file that a model made."""
    for path in sorted(run.rglob("*.parquet")):
        found = json.loads((pq.read_schema(path).metadata or {}).get(METADATA_KEY, b"{}"))
        if "dtype" in found:
            return found
    raise UserError(f"{run} holds no file that a model made")


def publish(run: Path, out: Path, command: str) -> None:
    """Copy the CSV tables and the figures, and write run.json: a list with a record of each part, the newest first.

    Raises:
        UserError: the run has no tables, or no statistics of its steps.
    """
    files = {"tables": sorted((run / "tables").glob("*.csv")), "figures": sorted((run / "figures").glob("*.*"))}
    if not files["tables"]:
        raise UserError(f"{run}/tables holds no tables: run the workflow first")
    provenance = _provenance(run)
    base = json.loads((run / "models" / "base" / "identity.json").read_text())
    record: dict[str, Any] = {kind: sorted({file.stem for file in found}) for kind, found in files.items()}
    record |= {"command": command, **step_statistics(run), "dtype": provenance["dtype"]}
    record["model"] = {key: base[key] for key in ("origin", "identity")}
    record["packages"] = provenance["spec"]["code"]["packages"]
    records = [record, *_earlier(out / "run.json", record)]
    for kind, found in files.items():
        (out / kind).mkdir(parents=True, exist_ok=True)
        for file in found:
            shutil.copyfile(file, out / kind / file.name)
        recorded = {name for one in records for name in one[kind]}
        for file in (out / kind).iterdir():
            if file.stem not in recorded:
                file.unlink()
    write_json(out / "run.json", records)


def _earlier(path: Path, newer: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of the parts that were published before, without what is newer."""
    found = json.loads(path.read_text()) if path.exists() else []
    for record in found:
        for kind in ("tables", "figures"):
            record[kind] = [name for name in record[kind] if name not in newer[kind]]
    return [record for record in found if record["tables"]]


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--run", type=Path, required=True, help="the run's folder, results/<run>")
    options.add_argument("--out", type=Path, required=True, help="the folder to write, docs/results/<run>")
    options.add_argument("--command", required=True, help="the command that made the run")
    arguments = options.parse_args()
    try:
        publish(arguments.run, arguments.out, arguments.command)
    except UserError as problem:
        sys.exit(f"Error: {problem}")
