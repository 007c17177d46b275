"""Natural language inference with three labels, balanced so that no bag of words can tell them apart.

A premise says who is where (or who owns what) at one time, and that nothing is known of another time. The hypothesis is
about the participant named first: in the right place at the known time it is entailed, in the other participant's place
contradicted, and at the unknown time left open. Premises hold the same kinds of words in all three classes, and each
hypothesis takes one of the premise's two times and one of its two places, both of which a premise holds once.
"""

from random import Random

from taskneurons.suite.kind import Fields, SuiteTask, couple, two
from taskneurons.suite.words import GUESTS, HOURS, OWNERS, ROOMS, SEASONS, THINGS


def _chosen(rng: Random, rank: int, times: tuple[str, str], objects: tuple[str, str]) -> tuple[str, str]:
    """The time and the object of a hypothesis: rank 0 entailed, 1 contradicted, 2 open."""
    return (times[1], rng.choice(objects)) if rank == 2 else (times[0], objects[rank])


def _place(rng: Random, label: str) -> Fields:
    (guest, other), rooms, hours = two(rng, GUESTS), couple(rng, ROOMS), couple(rng, HOURS)
    hour, room = _chosen(rng, ("yes", "no", "maybe").index(label), hours, rooms)
    return {
        "premise": f"at {hours[0]} {guest} is in the {rooms[0]} and {other} in the {rooms[1]} , "
        f"at {hours[1]} nobody knows .",
        "hypothesis": f"at {hour} {guest} is in the {room} .",
        "label": label,
    }


def _owner(rng: Random, label: str) -> Fields:
    (owner, other), things, seasons = two(rng, OWNERS), couple(rng, THINGS), couple(rng, SEASONS)
    season, thing = _chosen(rng, ("true", "false", "unknown").index(label), seasons, things)
    return {
        "given": f"in {seasons[0]} the {owner} owns the {things[0]} and the {other} owns the {things[1]} ; "
        f"who owns what in {seasons[1]} is secret .",
        "claim": f"the {owner} owns the {thing} in {season} .",
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
