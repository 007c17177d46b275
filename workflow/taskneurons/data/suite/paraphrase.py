"""Paraphrase: do two sentences say the same? Both classes hold the same words, only the roles differ.

The second sentence tells the event from the other side. In a pair that is no paraphrase the two participants
have changed places, so that a bag of words sees no difference between the classes.
"""

from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask, couple
from taskneurons.data.suite.words import DAYS, FRIENDS, GIFTS, GIVES, HUNTS, PLACES, PREY


def _gift(rng: Random, label: str) -> Fields:
    giver, taker = couple(rng, FRIENDS)
    gift = rng.choice(GIFTS)
    verb = rng.choice(GIVES)
    first = f"on {rng.choice(DAYS)} {giver} {verb} a {gift} to {taker} ."
    if label == "different":
        giver, taker = taker, giver
    return {"first": first, "second": f"{taker} got a {gift} from {giver} .", "label": label}


def _chase(rng: Random, label: str) -> Fields:
    hunter, prey = couple(rng, PREY)
    place = rng.choice(PLACES)
    verb = rng.choice(HUNTS)
    first = f"on {rng.choice(DAYS)} in the {place} the {hunter} {verb} the {prey} ."
    if label == "unequal":
        hunter, prey = prey, hunter
    return {"one": first, "other": f"the {prey} was {verb} by the {hunter} .", "label": label}


TASKS = (
    SuiteTask(
        "gift_pairs",
        ("first", "second"),
        "label",
        ("different", "same"),
        _gift,
        lambda f: f"{f['first']} {f['label']} : {f['second']}",
    ),
    SuiteTask(
        "chase_pairs",
        ("one", "other"),
        "label",
        ("unequal", "equal"),
        _chase,
        lambda f: f"{f['one']} {f['label']} : {f['other']}",
    ),
)
