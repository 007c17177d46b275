"""Eight tasks that are learnt one after the other: stand-ins for the paper's continual-learning benchmarks (Table 5).

Standard: encyclopedia (DBpedia), shop_stars (Amazon), forum_topics (Yahoo), news_topics (AG News). Large: those and
claim_inference (MNLI), question_twins (QQP), short_inference (RTE), verdict_lines (SST-2).

The pre-training text has all their words but nothing of their text. Tasks share words that mean different labels (a
train is "station" in an encyclopedia and "street" in a forum), so that learning one can undo another. An example is
one text, so that one prompt form does for all and tells nothing of the task.

A task's label words are of different uses in the pre-training text: words of one use (happy and angry, two and three)
come out of the pre-training with nearly the same embedding, and a small model takes long to tell them apart.
"""

from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask, two
from taskneurons.data.suite.words import (
    ACTIONS,
    BLAME,
    CAFES,
    CITIES,
    CROWDS,
    DAYS,
    DISHES,
    FILM_PARTS,
    GOODS,
    HUNTS,
    JOBS,
    LANDMARKS,
    OWNERS,
    PEOPLE,
    PLACES,
    PRAISE,
    SHOPS,
    TEAMS,
    TIMES,
    TOWNS,
    VEHICLES,
)

# Label → the words that only its texts have, two in each.
ENTRIES = {
    "film": FILM_PARTS,
    "meal": DISHES,
    "park": ("field", "forest", "valley", "meadow", "pond", "woods", "hills"),
    "station": VEHICLES,
    "people": OWNERS,
    "shop": GOODS,
}
QUERIES = {
    "food": DISHES,
    "match": TEAMS,
    "story": ("book", "pen", "letter", "map", "teacher", "stamp"),
    "music": ("flute", "piano", "bell", "singer", "dancer", "studio"),
    "street": VEHICLES,
}
NEWS = {
    "area": CITIES,
    "crowd": TEAMS,
    "price": GOODS,
    "rain": ("snow", "frost", "ice", "slush", "mud"),
}


def _entry(rng: Random, label: str) -> Fields:
    name, city = rng.choice((*CAFES, *TOWNS)), rng.choice(CITIES)
    first, second = two(rng, ENTRIES[label])
    return {
        "text": f"{name} is in {city} . its {first} and its {second} were {rng.choice(CROWDS)} .",
        "label": label,
    }


def _query(rng: Random, label: str) -> Fields:
    first, second = two(rng, QUERIES[label])
    asked, answered = rng.choice(HUNTS), rng.choice(HUNTS)
    return {
        "text": f"who {asked} the {first} on {rng.choice(DAYS)} ? {rng.choice(PEOPLE)} {answered} the {second} .",
        "label": label,
    }


def _news(rng: Random, label: str) -> Fields:
    first, second = two(rng, NEWS[label])
    who, day = rng.choice(PEOPLE), rng.choice(DAYS)
    return {"text": f"on {day} {who} saw {first} and {second} . it was a {rng.choice(CROWDS)} day .", "label": label}


# In order: how many of four opinions praise, from none to all.
STARS = ("not", "once", "two", "many", "all")


def _opinions(rng: Random, praising: int, blaming: int) -> list[str]:
    """Different opinions in random order."""
    words = [*rng.sample(PRAISE, praising), *rng.sample(BLAME, blaming)]
    rng.shuffle(words)
    return words


def _stars(rng: Random, label: str) -> Fields:
    praising = STARS.index(label)
    first, second, third, last = _opinions(rng, praising, 4 - praising)
    buyer, goods, shop, day = (rng.choice(words) for words in (JOBS, GOODS, SHOPS, DAYS))
    return {
        "text": f"on {day} the {buyer} bought {goods} at the {shop} : {first} , {second} , {third} and {last} .",
        "label": label,
    }


def _verdict(rng: Random, label: str) -> Fields:
    """Of three opinions most praise (win) or blame (wrong)."""
    praising = rng.choice((2, 3) if label == "win" else (0, 1))
    first, second, last = _opinions(rng, praising, 3 - praising)
    who, (one, other) = rng.choice(JOBS), two(rng, FILM_PARTS)
    return {"text": f"the {who} saw the {one} and {other} : {first} , {second} and {last} .", "label": label}


# What somebody surely saw who saw one of its parts.
WHOLES = {"film": FILM_PARTS, "meal": DISHES, "crowd": TEAMS}


def _claim(rng: Random, label: str) -> tuple[str, str]:
    """A part of a whole, and the claim that one was seen: so (it follows), never (it contradicts) or open."""
    whole, other = rng.sample(list(WHOLES), 2)
    article = {"so": "a", "never": "no", "open": rng.choice(("a", "no"))}[label]
    return rng.choice(WHOLES[whole]), f"{article} {other if label == 'open' else whole}"


def _long_claim(rng: Random, label: str) -> Fields:
    part, claim = _claim(rng, label)
    when, who, landmark = rng.choice(TIMES), rng.choice(OWNERS), rng.choice(LANDMARKS)
    return {"text": f"{when} the {who} saw the {part} near the {landmark} . the {who} saw {claim} .", "label": label}


def _short_claim(rng: Random, label: str) -> Fields:
    """What does not follow is perhaps: as often contradicted as open."""
    part, claim = _claim(rng, "so" if label == "right" else rng.choice(("never", "open")))
    place, who = rng.choice(PLACES), rng.choice(JOBS)
    return {"text": f"in the {place} the {who} saw the {part} . the {who} saw {claim} .", "label": label}


# Two wordings of each question.
WORDINGS = (("when", "on what day"), ("where", "near what"), ("how", "by what"))


def _twins(rng: Random, label: str) -> Fields:
    """The second question asks the same again in other words, or something else."""
    asked, other = rng.sample(WORDINGS, 2)
    wordings = [asked[0], asked[1] if label == "again" else other[1]]
    rng.shuffle(wordings)
    who, action, thing = rng.choice((*JOBS, *OWNERS)), rng.choice(ACTIONS), rng.choice((*GOODS, *VEHICLES))
    return {"text": f"{wordings[0]} did the {who} {action} the {thing} ? {wordings[1]} ?", "label": label}


TASKS = (
    SuiteTask("encyclopedia", ("text",), "label", tuple(ENTRIES), _entry),
    SuiteTask("shop_stars", ("text",), "label", STARS, _stars),
    SuiteTask("forum_topics", ("text",), "label", tuple(QUERIES), _query),
    SuiteTask("news_topics", ("text",), "label", tuple(NEWS), _news),
    SuiteTask("claim_inference", ("text",), "label", ("so", "never", "open"), _long_claim),
    SuiteTask("question_twins", ("text",), "label", ("unlike", "again"), _twins),
    SuiteTask("short_inference", ("text",), "label", ("perhaps", "right"), _short_claim),
    SuiteTask("verdict_lines", ("text",), "label", ("wrong", "win"), _verdict),
)
