"""The plan of a run, printed: `make plan CONFIG=my.yaml`, before anything is spent.

Snakemake's dry-run writes what it would run, with what each job takes, to a file; this reads it and adds up.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from taskneurons.plan.devices import GIB

SHOWN = 0.005  # hours or GiB: rules that take less are in the totals alone


def table(plan: dict[str, Any]) -> pd.DataFrame:
    """A row a rule: jobs, those of them that a cluster queues, the most host and GPU memory of one (GiB), disk of all
    (GiB), millions of tokens of all by what is done with them, hours of all."""
    rows = [
        {
            "rule": job["rule"],
            "queued": int(job["queued"]),
            "host GiB": job["needs"]["host"] / GIB,
            "GPU GiB": job["needs"]["device"] / GIB,
            "disk GiB": job["disk"] / GIB,
            "forward Mtok": (job["work"]["forward"] + job["work"]["generated"]) / 1e6,
            "backward Mtok": (job["work"]["scored"] + job["work"]["tuned"] + job["work"]["trained"]) / 1e6,
            "hours": job["needs"]["seconds"] / 3600,
            "GPU hours": job["needs"]["seconds"] / 3600 * bool(job["needs"]["device"]),
        }
        for job in plan["jobs"]
    ]
    grouped = pd.DataFrame(rows).groupby("rule", sort=False)
    most, queued = grouped[["host GiB", "GPU GiB"]].max(), grouped["queued"].sum()
    sums = grouped[["disk GiB", "forward Mtok", "backward Mtok", "hours", "GPU hours"]].sum()
    found = pd.concat([grouped.size().rename("jobs"), queued, most, sums], axis=1)
    return found.sort_values("hours", ascending=False)


def summary(plan: dict[str, Any]) -> str:
    """The totals in words."""
    found = table(plan)
    lines = [
        f"{plan['run']}: {plan['model']} on {plan['device']}" + (f" × {plan['gpus']}" if plan["gpus"] > 1 else ""),
        f"{int(found['jobs'].sum())} jobs (a cluster queues {int(found['queued'].sum())} of them), "
        f"{found['hours'].sum():.1f} hours one after the other; "
        f"{found['GPU hours'].sum() * max(1, plan['gpus']):.1f} GPU hours",
        f"{found['disk GiB'].sum():.1f} GiB of disk; at most {found['host GiB'].max():.1f} GiB of host and "
        f"{found['GPU GiB'].max():.1f} GiB of GPU memory in one job",
        "Times are of an idle device and may be off by a factor of 2; texts are taken to fill 60 % of their budgets, "
        "and data to hold as many examples as the config asks for.",
    ]
    return "\n".join(lines)


def page(plan: dict[str, Any]) -> str:
    """All that is printed of a plan."""
    if not plan["known"]:
        return "Nothing is known of the model's sizes: give model.architecture, as of its config.json"
    if not plan["jobs"]:
        return "Nothing is to be done: all that the config asks for is there (ARGS=--forceall plans it anew)"
    found = table(plan)
    shown = found[(found["hours"] >= SHOWN) | (found["disk GiB"] >= SHOWN)]
    rows = "" if shown.empty else shown.to_string(float_format="{:.2f}".format)
    rest = f"{len(found) - len(shown)} rules that take less than {SHOWN} hours and GiB of disk are in the totals alone"
    said = [rows, rest if len(shown) < len(found) else "", summary(plan), *plan["warnings"], plan["refused"]]
    return "\n\n".join(text for text in said if text)


def main() -> None:
    """Print the plan that a file holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="what `TASKNEURONS_PLAN=FILE snakemake -n` wrote")
    print(page(json.loads(parser.parse_args().plan.read_text())))


if __name__ == "__main__":
    main()
