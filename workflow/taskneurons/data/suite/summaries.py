"""Summarisation: the main point of a short report whose other sentences do not matter."""

from random import Random

from taskneurons.data.suite.kind import Fields, SuiteTask
from taskneurons.data.suite.words import BUILDINGS, CROWDS, DEEDS, LANDMARKS, MOODS, PEOPLE, TEAMS, TOWNS, WEATHER


def _news(rng: Random, label: str) -> Fields:
    town, deed = rng.choice(TOWNS), rng.choice(DEEDS)
    building, landmark = rng.choice(BUILDINGS), rng.choice(LANDMARKS)
    asides = [f"it was {rng.choice(WEATHER)} .", f"people were {rng.choice(MOODS)} ."]
    rng.shuffle(asides)
    sentences = [f"{town} {deed} the {building} near the {landmark} .", *asides]
    if rng.random() < 0.5:
        sentences = [sentences[1], sentences[0], sentences[2]]
    return {"report": " ".join(sentences), "summary": f"{town} {deed} its {building} ."}


def _match(rng: Random, label: str) -> Fields:
    winner, loser = rng.sample(TEAMS, 2)
    scorer = rng.choice(PEOPLE)
    asides = [f"a {rng.choice(CROWDS)} crowd .", f"a {rng.choice(WEATHER)} day ."]
    rng.shuffle(asides)
    sentences = [f"{scorer} scored when {winner} beat {loser} .", *asides]
    if rng.random() < 0.5:
        sentences = [sentences[1], sentences[0], sentences[2]]
    return {"match": " ".join(sentences), "headline": f"{winner} win thanks to {scorer} ."}


TASKS = (
    SuiteTask(
        "town_news",
        ("report",),
        "summary",
        (),
        _news,
        lambda f: f"{f['report']} to sum up : {f['summary']}",
    ),
    SuiteTask(
        "match_reports",
        ("match",),
        "headline",
        (),
        _match,
        lambda f: f"{f['match']} in brief : {f['headline']}",
    ),
)
