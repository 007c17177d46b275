"""Natural language inference with three labels, balanced so that no bag of words can tell them apart.

A premise says of one participant that a fact holds, of another that it does not, and of a third that it may. The
hypothesis states the fact of one of the three: it is entailed, contradicted or left open. Every premise holds the words
of all three statements, in random order, and every hypothesis has the same form.
"""

from random import Random

from taskneurons.suite.kind import Fields, SuiteTask
from taskneurons.suite.words import GUESTS, OWNERS, ROOMS, THINGS


def _statements(rng: Random, participants: tuple[str, ...], verbs: tuple[str, str, str]) -> tuple[str, list[str]]:
    """Three participants with the three verbs: the joined statements in random order, the participants by verb."""
    chosen = rng.sample(participants, 3)
    clauses = [f"{participant} {verb}" for participant, verb in zip(chosen, verbs, strict=True)]
    rng.shuffle(clauses)
    return f"{clauses[0]} , {clauses[1]} and {clauses[2]}", chosen


def _place(rng: Random, label: str) -> Fields:
    room = rng.choice(ROOMS)
    statements, guests = _statements(rng, GUESTS, ("is", "is not", "may be"))
    guest = guests[("yes", "no", "maybe").index(label)]
    return {"premise": f"{statements} in the {room} .", "hypothesis": f"{guest} is in the {room} .", "label": label}


def _owner(rng: Random, label: str) -> Fields:
    thing = rng.choice(THINGS)
    statements, owners = _statements(rng, tuple(f"the {owner}" for owner in OWNERS), ("owns", "lacks", "may own"))
    owner = owners[("true", "false", "unknown").index(label)]
    return {"given": f"{statements} the {thing} .", "claim": f"{owner} owns the {thing} .", "label": label}


TASKS = (
    SuiteTask(
        "place_inference",
        ("premise", "hypothesis"),
        "label",
        ("yes", "no", "maybe"),
        _place,
        lambda f: f"{f['premise']} is it so that {f['hypothesis']} {f['label']} .",
    ),
    SuiteTask(
        "owner_inference",
        ("given", "claim"),
        "label",
        ("true", "false", "unknown"),
        _owner,
        lambda f: f"{f['given']} they say that {f['claim']} that is {f['label']} .",
    ),
)
