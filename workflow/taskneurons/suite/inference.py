"""Natural language inference with three labels, balanced so that no bag of words can tell them apart.

A premise says of one participant that a fact holds, of another that it does not, and of a third that it may. The
hypothesis states the fact of one of the three: it is entailed, contradicted or left open. Every premise holds the words
of all three statements, in random order, and every hypothesis has the same form.
"""

from random import Random

from taskneurons.suite.kind import Fields, SuiteTask
from taskneurons.suite.words import GUESTS, OWNERS, ROOMS, THINGS

# Label → how the premise speaks of the participant whom the hypothesis is about.
_PLACE_VERBS = {"yes": " is ", "no": " is not ", "maybe": " may be "}
_OWNER_VERBS = {"true": " owns ", "false": " lacks ", "unknown": " may own "}


def _statements(rng: Random, participants: tuple[str, ...], verbs: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Three participants with the three verbs: the joined statements in random order, and label → participant."""
    chosen = dict(zip(verbs, rng.sample(participants, 3), strict=True))
    clauses = [f"{chosen[label]}{verb}".rstrip() for label, verb in verbs.items()]
    rng.shuffle(clauses)
    return f"{clauses[0]} , {clauses[1]} and {clauses[2]}", chosen


def _place(rng: Random, label: str) -> Fields:
    room = rng.choice(ROOMS)
    statements, guests = _statements(rng, GUESTS, _PLACE_VERBS)
    return {
        "premise": f"{statements} in the {room} .",
        "hypothesis": f"{guests[label]} is in the {room} .",
        "label": label,
    }


def _owner(rng: Random, label: str) -> Fields:
    thing = rng.choice(THINGS)
    statements, owners = _statements(rng, tuple(f"the {owner}" for owner in OWNERS), _OWNER_VERBS)
    return {"given": f"{statements} the {thing} .", "claim": f"{owners[label]} owns the {thing} .", "label": label}


TASKS = (
    SuiteTask(
        "place_inference",
        ("premise", "hypothesis"),
        "label",
        tuple(_PLACE_VERBS),
        _place,
        lambda f: f"{f['premise']} so {f['hypothesis'].replace(' is ', _PLACE_VERBS[f['label']])} {f['label']} .",
    ),
    SuiteTask(
        "owner_inference",
        ("given", "claim"),
        "label",
        tuple(_OWNER_VERBS),
        _owner,
        lambda f: f"{f['given']} thus {f['claim'].replace(' owns ', _OWNER_VERBS[f['label']])} {f['label']} .",
    ),
)
