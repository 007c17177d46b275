"""Natural language inference with three labels, balanced so that no bag of words can tell them apart.

A premise says of one participant that a fact holds, of another that it does not, and of a third that it may. The
hypothesis states the fact of one of the three: it is entailed, contradicted or left open. Every premise holds the words
of all three statements, in random order, and every hypothesis has the same form. The three participants are always one
of a few trios: a small model then learns within minutes which of the three is meant.
"""

from random import Random

from taskneurons.suite.kind import Fields, SuiteTask
from taskneurons.suite.words import DAYS, GUESTS, OWNERS, ROOMS, THINGS

# Label → how the premise speaks of the participant whom the hypothesis is about.
_PLACE_VERBS = {"yes": "is", "no": "never is", "maybe": "may be"}
_OWNER_VERBS = {"true": "owns", "false": "lacks", "unknown": "may own"}


def _statements(rng: Random, trios: tuple[tuple[str, ...], ...], verbs: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A trio with the three verbs: the joined statements in random order, and label → participant."""
    chosen = dict(zip(verbs, rng.sample(rng.choice(trios), 3), strict=True))
    clauses = [f"{chosen[label]} {verb}" for label, verb in verbs.items()]
    rng.shuffle(clauses)
    return f"on {rng.choice(DAYS)} {clauses[0]} , {clauses[1]} and {clauses[2]}", chosen


def _place(rng: Random, label: str) -> Fields:
    room = rng.choice(ROOMS)
    statements, guests = _statements(rng, GUESTS, _PLACE_VERBS)
    hypothesis = f"{guests[label]} is in the {room} ."
    return {"premise": f"{statements} in the {room} .", "hypothesis": hypothesis, "label": label}


def _owner(rng: Random, label: str) -> Fields:
    thing = rng.choice(THINGS)
    statements, owners = _statements(rng, OWNERS, _OWNER_VERBS)
    claim = f"{owners[label]} owns the {thing} ."
    return {"given": f"{statements} the {thing} .", "claim": claim, "label": label}


def _tell_place(fields: Fields) -> str:
    fact = fields["hypothesis"].replace(" is ", f" {_PLACE_VERBS[fields['label']]} ")
    return f"{fields['premise']} so {fact} {fields['label']} ."


def _tell_owner(fields: Fields) -> str:
    fact = fields["claim"].replace(" owns ", f" {_OWNER_VERBS[fields['label']]} ")
    return f"{fields['given']} thus {fact} {fields['label']} ."


TASKS = (
    SuiteTask("place_inference", ("premise", "hypothesis"), "label", tuple(_PLACE_VERBS), _place, _tell_place),
    SuiteTask("owner_inference", ("given", "claim"), "label", tuple(_OWNER_VERBS), _owner, _tell_owner),
)
