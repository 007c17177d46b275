"""Sentiment, in two domains: films and dishes. A clause may be negated, so that words alone can mislead."""

from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask, two
from taskneurons.data.suite.words import BLAME, DISH_PARTS, DISHES, FILM_PARTS, PRAISE


def _opinion(rng: Random, good: bool) -> str:
    """An adjective of the wanted polarity, or the opposite one behind "not"."""
    if rng.random() < 0.25:
        return "not " + rng.choice(BLAME if good else PRAISE)
    return rng.choice(PRAISE if good else BLAME)


def _film(rng: Random, label: str) -> Fields:
    good = label == "positive"
    first, second = two(rng, FILM_PARTS)
    review = f"the {first} was {_opinion(rng, good)} , the {second} {_opinion(rng, good)} ."
    return {"review": review, "label": label}


def _dish(rng: Random, label: str) -> Fields:
    good = label == "good"
    dish, part = rng.choice(DISHES), rng.choice(DISH_PARTS)
    comment = f"{dish} tasted {_opinion(rng, good)} and the {part} {_opinion(rng, good)} ."
    return {"comment": comment, "label": label}


TASKS = (
    SuiteTask(
        "film_reviews",
        ("review",),
        "label",
        ("negative", "positive"),
        _film,
        lambda f: f"{f['review']} so a {f['label']} film .",
    ),
    SuiteTask(
        "dish_reviews",
        ("comment",),
        "label",
        ("bad", "good"),
        _dish,
        lambda f: f"{f['comment']} in all a {f['label']} meal .",
    ),
)
