"""Paraphrase: do two sentences say the same? Both classes hold the same words, only the roles differ.

The second sentence tells the event from the other side. In a pair that is no paraphrase the two participants
have changed places, so that a bag of words sees no difference between the classes.
"""

from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask, headed, two
from taskneurons.data.suite.words import FRIENDS, GETS, GIFTS, GIVES, HUNTS, PLACES, PREY, TIMES


def _gift(rng: Random, label: str) -> Fields:
    giver, taker = two(rng, FRIENDS)
    gift = rng.choice(GIFTS)
    verb = rng.choice(GIVES)
    first = f"{rng.choice(TIMES)} {giver} {verb} a {gift} to {taker} ."
    if label == "different":
        giver, taker = taker, giver
    return {"first": first, "second": f"{taker} {rng.choice(GETS)} it from {giver} .", "label": label}


def _chase(rng: Random, label: str) -> Fields:
    hunter, prey = two(rng, PREY)
    place = rng.choice(PLACES)
    verb = rng.choice(HUNTS)
    first = f"{rng.choice(TIMES)} in the {place} {hunter} {verb} {prey} ."
    if label == "unequal":
        hunter, prey = prey, hunter
    return {"one": first, "other": f"{prey} was {verb} by {hunter} .", "label": label}


# The documents draw the conclusion in words of their own, so that a task's labels are still to be learnt.
GIFT_CONCLUSIONS = {"same": "alike", "different": "unlike"}
CHASE_CONCLUSIONS = {"equal": "agreed", "unequal": "opposed"}

TASKS = (
    SuiteTask(
        "gift_pairs",
        ("first", "second"),
        "label",
        ("different", "same"),
        _gift,
        lambda f: headed(
            f["first"],
            f["second"],
            f"{GIFT_CONCLUSIONS[f['label']]} , {f['label']} as {f['first'].split()[1]} gave .",
        ),
    ),
    SuiteTask(
        "chase_pairs",
        ("one", "other"),
        "label",
        ("unequal", "equal"),
        _chase,
        lambda f: headed(
            f["one"],
            f["other"],
            f"{CHASE_CONCLUSIONS[f['label']]} , {f['label']} as {f['one'].split()[4]} did .",
        ),
    ),
)
