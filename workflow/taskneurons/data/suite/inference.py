"""Natural language inference with three labels, balanced so that no bag of words can tell them apart.

A premise names a thing (or a place) that is known for one of two properties: for its weight or for its heat (for its
walls or for its latitude). The hypothesis claims a property: the known one of the thing (entailed), the opposite one
(contradicted), or one of the other pair, of which nothing is known (open). Things and properties are drawn evenly, so
neither alone tells the label; only what they mean together does.
"""

from collections.abc import Mapping
from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask, headed
from taskneurons.data.suite.words import GUESTS, HOLDS, OWNERS, PLACES_OF, STAYS, THINGS_OF, TIMES


def _property_and_claim(rng: Random, rank: int, pairs: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """A known property and a claimed one: rank 0 entailed, 1 contradicted, 2 open."""
    known, other = rng.sample(pairs, 2)
    side = rng.randrange(2)
    return known[side], (known[side], known[1 - side], rng.choice(other))[rank]


def _place(rng: Random, label: str) -> Fields:
    rank = ("yes", "no", "maybe").index(label)
    known, claim = _property_and_claim(rng, rank, (("indoors", "outdoors"), ("north", "south")))
    guest, place = rng.choice(GUESTS), rng.choice(PLACES_OF[known])
    return {
        "premise": f"{rng.choice(TIMES)} {guest} {rng.choice(STAYS)} in {place} .",
        "hypothesis": f"{guest} is {claim} .",
        "label": label,
    }


def _owner(rng: Random, label: str) -> Fields:
    rank = ("true", "false", "unknown").index(label)
    known, claim = _property_and_claim(rng, rank, (("heavy", "light"), ("hot", "cold")))
    thing = rng.choice(THINGS_OF[known])
    return {
        "given": f"{rng.choice(TIMES)} the {rng.choice(OWNERS)} {rng.choice(HOLDS)} the {thing} .",
        "claim": f"it is {claim} .",
        "label": label,
    }


# The documents draw the conclusion in words of their own, so that a task's labels are still to be learnt.
PLACE_CONCLUSIONS = {"yes": "surely", "no": "never", "maybe": "perhaps"}
OWNER_CONCLUSIONS = {"true": "right", "false": "wrong", "unknown": "open"}


def _known(premise: str, known: Mapping[str, tuple[str, ...]]) -> str:
    """The fact that a premise rests on: "the attic indoors"."""
    return next(f"{word} {side}" for side, words in known.items() for word in words if f" {word} ." in premise)


TASKS = (
    SuiteTask(
        "place_inference",
        ("premise", "hypothesis"),
        "label",
        ("yes", "no", "maybe"),
        _place,
        lambda f: headed(
            f["premise"],
            f["hypothesis"],
            f"{PLACE_CONCLUSIONS[f['label']]} , {f['label']} as {_known(f['premise'], PLACES_OF)} .",
        ),
    ),
    SuiteTask(
        "owner_inference",
        ("given", "claim"),
        "label",
        ("true", "false", "unknown"),
        _owner,
        lambda f: headed(
            f["given"],
            f["claim"],
            f"{OWNER_CONCLUSIONS[f['label']]} , {f['label']} as {_known(f['given'], THINGS_OF)} .",
        ),
    ),
)
