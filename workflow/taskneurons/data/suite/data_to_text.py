"""Data-to-text: a sentence from attribute-value pairs (cafes) or from loose concepts (scenes), in shuffled order."""

from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask
from taskneurons.data.suite.words import ACTIONS, ACTORS, AREAS, CAFES, FOODS, OBJECTS, PRICES, SITES


def _cafe(rng: Random, label: str) -> Fields:
    name, food = rng.choice(CAFES), rng.choice(FOODS)
    area, price = rng.choice(AREAS), rng.choice(PRICES)
    facts = [f"name {name}", f"food {food}", f"area {area}", f"price {price}"]
    rng.shuffle(facts)
    return {
        "facts": " , ".join(facts),
        "sentence": f"{name} is a {price} {food} cafe near the {area} .",
    }


def _scene(rng: Random, label: str) -> Fields:
    actor, action = rng.choice(ACTORS), rng.choice(ACTIONS)
    thing, site = rng.choice(OBJECTS), rng.choice(SITES)
    concepts = [actor, action, thing, site]
    rng.shuffle(concepts)
    return {"concepts": " ".join(concepts), "scene": f"the {actor} can {action} the {thing} at the {site} ."}


TASKS = (
    SuiteTask(
        "cafe_facts",
        ("facts",),
        "sentence",
        (),
        _cafe,
        lambda f: f"{f['facts']} , so {f['sentence']}",
    ),
    SuiteTask(
        "scene_concepts",
        ("concepts",),
        "scene",
        (),
        _scene,
        lambda f: f"{f['concepts']} , so {f['scene']}",
    ),
)
