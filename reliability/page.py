"""The page docs/reliability.md, made of what was tried."""

import random
from pathlib import Path

from reliability.small import ROOT

OUTCOMES = ("refused clearly", "harmless", "skipped", "refused unclearly", "traceback", "silently wrong")
EXAMPLES = 6  # of each part, with what a user reads

HEAD = """# Reliability

Made by `make reliability`, which tries what can go wrong with a run, by a seed (here {seed}), so that the same things
are tried again. A case is *refused clearly* if it ends in one message that says what was wrong and what to do,
*harmless* if the results have the very bytes of a run that nobody disturbed (or the input is taken for what it says),
a *traceback* if the message is Python's, and *silently wrong* if anything else came out without a word. *Bytes* are
all outputs of rules except logs and statistics.

"""

PARTS = {
    "mutated configs": "One key of a config is replaced by an odd value, misspelt, deleted or swapped with another.",
    "data files": "A task's data are broken, odd or incomplete, as CSV, JSON and Parquet, in a folder and as one file.",
    "model folders": "A base model's files are missing, damaged, of two models, not finite, or too small for the "
    "budgets.",
    "full disk, read-only folder, two runs at once": "Small disks that fill at several steps, a folder that cannot be "
    "written, a second `snakemake` on the same run and on another one.",
    "corruptions and swaps": "An artifact of a finished run is damaged, edited, or another is put in its place "
    "(another task's, split's, seed's, set's, k's, model's, run's). Then a job that reads it runs, or the plain "
    "command.",
    "damaged states of trainings": "What a killed training left is damaged before it goes on.",
    "kills": "The workflow, one of its jobs or everything dies at a random moment (SIGKILL, SIGTERM, Ctrl-C), in a run "
    "from nothing and right after a change of the config. Then the plain command is given until it ends well.",
}


def write_page(path: Path, tried: dict[str, list[dict[str, str]]], seed: int, machine: str) -> None:
    """Write the page: a table of all parts, and examples of each."""
    lines = [
        "| tried | cases | " + " | ".join(OUTCOMES) + " | core-minutes |",
        "|---|---|" + "---|" * (len(OUTCOMES) + 1),
    ]
    total = 0.0
    for part, found in tried.items():
        counts = [sum(one["outcome"] == outcome for one in found) for outcome in OUTCOMES]
        minutes = sum(float(one["cpu"]) for one in found) / 60
        total += minutes
        lines.append(f"| {part} | {len(found)} | {' | '.join(map(str, counts))} | {minutes:.1f} |")
    text = HEAD.format(seed=seed) + "\n".join(lines) + f"\n\n{total:.0f} core-minutes in all ({machine}).\n"
    for part, found in tried.items():
        text += f"\n## {part.capitalize()}\n\n{PARTS[part]}\n\n"
        for one in examples(found, seed):
            message = " ".join(one["message"].split()).replace(str(ROOT), "…")
            text += f"- {one['name']}: **{one['outcome']}**. {shortened(message)}\n"
    path.write_text(text)


def examples(found: list[dict[str, str]], seed: int) -> list[dict[str, str]]:
    """All that went wrong, and some of the rest."""
    bad = [one for one in found if one["outcome"] in OUTCOMES[3:]]
    good = [one for one in found if one["outcome"] in OUTCOMES[:3]]
    return bad + random.Random(seed).sample(good, min(EXAMPLES, len(good)))


def shortened(message: str, length: int = 400) -> str:
    return f"`{message[-length:].replace('`', chr(39))}`" if message else ""
