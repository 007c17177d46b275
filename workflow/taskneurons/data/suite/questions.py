"""Question generation: the question that a given answer belongs to, about a journey or a purchase."""

from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask
from taskneurons.data.suite.words import CITIES, DAYS, GOODS, JOBS, NUMBERS, PEOPLE, SHOPS, VEHICLES


def _journey(rng: Random, label: str) -> Fields:
    who, city = rng.choice(PEOPLE), rng.choice(CITIES)
    vehicle, day = rng.choice(VEHICLES), rng.choice(DAYS)
    answer, question = rng.choice(
        (
            (who, f"who went to {city} by {vehicle} ?"),
            (city, f"where did {who} go by {vehicle} ?"),
            (vehicle, f"how did {who} go to {city} ?"),
            (day, f"when did {who} go to {city} ?"),
        )
    )
    return {"story": f"on {day} {who} went to {city} by {vehicle} .", "answer": answer, "question": question}


def _purchase(rng: Random, label: str) -> Fields:
    buyer, shop = rng.choice(JOBS), rng.choice(SHOPS)
    number, goods = rng.choice(NUMBERS), rng.choice(GOODS)
    answer, question = rng.choice(
        (
            (buyer, f"who bought the {goods} ?"),
            (shop, f"where did the {buyer} buy {goods} ?"),
            (number, f"how many {goods} did the {buyer} buy ?"),
            (goods, f"what did the {buyer} buy ?"),
        )
    )
    return {
        "deal": f"the {buyer} bought {number} {goods} at the {shop} .",
        "reply": answer,
        "question": question,
    }


TASKS = (
    SuiteTask(
        "journey_questions",
        ("story", "answer"),
        "question",
        (),
        _journey,
        lambda f: f"{f['story']} {f['answer']} . {f['question']}",
    ),
    SuiteTask(
        "purchase_questions",
        ("deal", "reply"),
        "question",
        (),
        _purchase,
        lambda f: f"{f['deal']} {f['reply']} . {f['question']}",
    ),
)
