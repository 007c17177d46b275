"""Natural language inference with three labels, balanced so that no bag of words can tell them apart.

A premise says who is where (or who owns what) at one time, and that nothing is known of another time. The hypothesis is
about the participant named first: in the right place at the known time it is entailed, in the other participant's place
contradicted, and at the unknown time left open. All premises hold the same two times and the same two places, in either
order, and a hypothesis takes one of each: which of them it takes tells nothing without the premise's order.
"""

from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask, two
from taskneurons.data.suite.words import GUESTS, HOLDS, HOURS, OWNERS, ROOMS, SEASONS, STAYS, THINGS


def _chosen(rng: Random, rank: int, times: tuple[str, str], objects: tuple[str, str]) -> tuple[str, str]:
    """The time and the object of a hypothesis: rank 0 entailed, 1 contradicted, 2 open."""
    return (times[1], rng.choice(objects)) if rank == 2 else (times[0], objects[rank])


def _place(rng: Random, label: str) -> Fields:
    (guest, other), rooms, hours = two(rng, GUESTS), two(rng, ROOMS), two(rng, HOURS)
    stays = rng.choice(STAYS)
    hour, room = _chosen(rng, ("yes", "no", "maybe").index(label), hours, rooms)
    return {
        "premise": f"at {hours[0]} {guest} {stays} in the {rooms[0]} and {other} in the {rooms[1]} , "
        f"at {hours[1]} nobody knows .",
        "hypothesis": f"at {hour} {guest} {stays} in the {room} .",
        "label": label,
    }


def _owner(rng: Random, label: str) -> Fields:
    (owner, other), things, seasons = two(rng, OWNERS), two(rng, THINGS), two(rng, SEASONS)
    holds = rng.choice(HOLDS)
    season, thing = _chosen(rng, ("true", "false", "unknown").index(label), seasons, things)
    return {
        "given": f"in {seasons[0]} the {owner} {holds} the {things[0]} and the {other} the {things[1]} ; "
        f"what happens in {seasons[1]} is secret .",
        "claim": f"the {owner} {holds} the {thing} in {season} .",
        "label": label,
    }


TASKS = (
    SuiteTask(
        "place_inference",
        ("premise", "hypothesis"),
        "label",
        ("yes", "no", "maybe"),
        _place,
        lambda f: f"{f['premise']} {f['label']} : {f['hypothesis']}",
    ),
    SuiteTask(
        "owner_inference",
        ("given", "claim"),
        "label",
        ("true", "false", "unknown"),
        _owner,
        lambda f: f"{f['given']} {f['label']} : {f['claim']}",
    ),
)
