"""Branches and tags of the hub, which may hold something else tomorrow: those of a config, and their commits.

`python -m taskneurons.checks.pin my.yaml` writes commits into a config or a file of tasks, where there is a network.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from taskneurons.config.settings import ModelSource, ResolvedSource
from taskneurons.core.errors import UserError

COMMIT = re.compile(r"[0-9a-f]{40}")
# In a YAML file: `hub: owner/name` of a model or `id: owner/name` of a data set, and the revision behind it.
ENTRY = re.compile(r"\b(hub|id): *[\"']?([\w.-]+/[\w.-]+)[\"']?.*?\brevision: *([\"']?)([\w./-]+)\3", re.DOTALL)
KINDS = {"hub": "model", "id": "dataset"}


def unpinned(model: ModelSource, sources: list[ResolvedSource]) -> list[str]:
    """The ids and revisions that are no commits, of what is read from the hub."""
    given = [(model.hub, model.revision), *((source.hub, source.revision) for source in sources)]
    return [f"{name} at {at}" for name, at in dict.fromkeys(given) if name and not COMMIT.fullmatch(str(at))]


def warning(found: list[str]) -> str:
    """What to tell of them."""
    names = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
    return (
        f"revisions of the hub that are branches or tags, whose content may change: {len(found)} ({names}); "
        "python -m taskneurons.checks.pin FILE writes their commits into a config (needs the network)"
    )


def pinned(text: str, commit_of: Callable[[str, str, str], str]) -> str:
    """A YAML text with commits in place of its hub's branches and tags; nothing else of it changes.

    Args:
        commit_of: kind (model or dataset), id and revision → the commit.
    """

    def entry(found: re.Match[str]) -> str:
        key, name, quote, revision = found.groups()
        if COMMIT.fullmatch(revision):
            return found[0]
        start = found[0][: found.start(3) - found.start()]
        return f"{start}{quote}{commit_of(KINDS[key], name, revision)}{quote}"

    return ENTRY.sub(entry, text)


def commit_on_the_hub(kind: str, name: str, revision: str) -> str:
    """The commit that a revision is at.

    Raises:
        UserError: the hub cannot be asked, or has no such repository or revision.
    """
    from huggingface_hub import HfApi  # takes a second, and the check of a config needs none of it

    try:
        found = HfApi().repo_info(name, revision=revision, repo_type=kind)
    except (OSError, ValueError) as problem:
        raise UserError(f"the hub does not tell the commit of {name} at {revision}: {problem}") from problem
    return str(found.sha)


def main() -> None:
    """Pin the revisions in some files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="+", help="a config, or a file of tasks that it names")
    for file in parser.parse_args().file:
        try:
            file.write_text(pinned(file.read_text(), commit_on_the_hub))
        except UserError as problem:
            raise SystemExit(f"Error: {problem}") from None


if __name__ == "__main__":
    main()
