"""Properties of the embedded suite: splits apart, labels balanced and right, no shortcut for a bag of words."""

import hashlib
import re
from collections import Counter

import numpy as np
import pytest
import torch
import yaml

from conftest import ROOT
from taskneurons.data.suite.generator import SPLIT_SHARES, SUITE, draw_split, input_key, pretraining_text
from taskneurons.training.pretrain import build_tokenizer

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
CLASSIFICATION = [name for name, task in SUITE.items() if task.labels]
CONTINUAL = [name for name, task in SUITE.items() if task.plain is None]
SPLITS = list(SPLIT_SHARES)


@pytest.mark.parametrize("name", SUITE)
def test_no_input_is_in_two_splits(name):
    keys = {split: {input_key(SUITE[name], f) for f in draw_split(name, split, 200, seed=3)} for split in SPLITS}
    assert sum(map(len, keys.values())) == 200 * len(SPLITS)
    assert len(set().union(*keys.values())) == 200 * len(SPLITS)


@pytest.mark.parametrize("name", SUITE)
def test_a_split_does_not_depend_on_the_others_and_is_reproducible(name):
    assert draw_split(name, "test", 50, seed=1) == draw_split(name, "test", 50, seed=1)
    assert draw_split(name, "test", 50, seed=1) != draw_split(name, "test", 50, seed=2)


def test_test_and_attribution_items_occur_nowhere_in_the_pretraining_text():
    text = "\n".join(pretraining_text(list(SUITE), 900, seed=0))
    for name, task in SUITE.items():
        for split in ("test", "attribution", "validation", "train"):
            for fields in draw_split(name, split, 100, seed=0):
                joined = " ".join(fields[column] for column in task.columns)
                assert joined not in text


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_labels_are_balanced(name):
    counts = Counter(fields["label"] for fields in draw_split(name, "train", 600, seed=0))
    assert set(counts) == set(SUITE[name].labels)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_paraphrase_labels_are_right():
    """Read back from the sentences with rules of their own."""
    for fields in draw_split("gift_pairs", "train", 300, seed=0):
        giver, taker = re.fullmatch(r"\w+ (\w+) \w+ a \w+ to (\w+) \.", fields["first"]).groups()
        to, source = re.fullmatch(r"(\w+) \w+ it from (\w+) \.", fields["second"]).groups()
        assert fields["label"] == ("same" if (giver, taker) == (source, to) else "different")
    for fields in draw_split("chase_pairs", "train", 300, seed=0):
        hunter, prey = re.fullmatch(r"\w+ in the \w+ (\w+) \w+ (\w+) \.", fields["one"]).groups()
        chased, by = re.fullmatch(r"(\w+) was \w+ by (\w+) \.", fields["other"]).groups()
        assert fields["label"] == ("equal" if (hunter, prey) == (by, chased) else "unequal")


def verdict(known: str, claimed: str, opposite: dict[str, str]) -> int:
    """0 entailed, 1 contradicted, 2 open, from the property that a thing is known for and the claimed one."""
    return 0 if claimed == known else 1 if claimed == opposite[known] else 2


def test_inference_labels_are_right():
    from taskneurons.data.suite.words import PLACES_OF, THINGS_OF

    ways = {"indoors": "outdoors", "outdoors": "indoors", "north": "south", "south": "north"}
    for fields in draw_split("place_inference", "train", 300, seed=0):
        who, place = re.fullmatch(r"\w+ (\w+) \w+ in ([\w ]+) \.", fields["premise"]).groups()
        same, claimed = re.fullmatch(r"(\w+) is (\w+) \.", fields["hypothesis"]).groups()
        (known,) = (property_ for property_, places in PLACES_OF.items() if place in places)
        assert same == who
        assert fields["label"] == ("yes", "no", "maybe")[verdict(known, claimed, ways)]
    feels = {"heavy": "light", "light": "heavy", "hot": "cold", "cold": "hot"}
    for fields in draw_split("owner_inference", "train", 300, seed=0):
        (thing,) = re.fullmatch(r"\w+ the \w+ \w+ the (\w+) \.", fields["given"]).groups()
        (claimed,) = re.fullmatch(r"it is (\w+) \.", fields["claim"]).groups()
        (known,) = (property_ for property_, things in THINGS_OF.items() if thing in things)
        assert fields["label"] == ("true", "false", "unknown")[verdict(known, claimed, feels)]


def test_sentiment_labels_are_right():
    from taskneurons.data.suite.words import BLAME, PRAISE

    for name, column, good in (("film_reviews", "review", "positive"), ("dish_reviews", "comment", "good")):
        for fields in draw_split(name, "train", 300, seed=0):
            for negated, word in re.findall(rf"(not )?({'|'.join(PRAISE + BLAME)})\b", fields[column]):
                assert (fields["label"] == good) == ((word in PRAISE) != bool(negated))


def bag_of_words_accuracy(name: str, featurise) -> float:
    """Test accuracy of a logistic regression on word features, trained on 1,200 examples."""
    task = SUITE[name]
    train, test = (draw_split(name, split, size, seed=0) for split, size in (("train", 1200), ("test", 400)))
    words = sorted({word for f in train for word in input_key(task, f).split()})
    place = {word: number for number, word in enumerate(words)}

    def matrix(examples):
        result = torch.zeros(len(examples), len(words))
        for row, fields in enumerate(examples):
            for word, count in featurise(Counter(input_key(task, fields).split())).items():
                if word in place:
                    result[row, place[word]] = count
        return result, torch.tensor([task.labels.index(f["label"]) for f in examples])

    torch.manual_seed(0)
    (x, y), (x_test, y_test) = matrix(train), matrix(test)
    linear = torch.nn.Linear(len(words), len(task.labels))
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(linear(x), y).backward()
        optimizer.step()
    return (linear(x_test).argmax(dim=1) == y_test).float().mean().item()


@pytest.mark.parametrize("featurise", [dict, lambda counts: dict.fromkeys(counts, 1)], ids=["counts", "presence"])
@pytest.mark.parametrize("name", ["gift_pairs", "chase_pairs", "place_inference", "owner_inference", "question_twins"])
def test_a_bag_of_words_stays_near_chance(name, featurise):
    assert bag_of_words_accuracy(name, featurise) < 1 / len(SUITE[name].labels) + 0.08


def test_the_bag_of_words_classifier_can_learn():
    """The check above can fail: on sentiment, where words matter, the same classifier is far above chance."""
    assert bag_of_words_accuracy("film_reviews", dict) > 0.7


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_length_tells_nothing(name):
    lengths: dict[str, list[int]] = {}
    for fields in draw_split(name, "train", 1200, seed=0):
        lengths.setdefault(fields["label"], []).append(len(input_key(SUITE[name], fields).split()))
    means = [np.mean(values) for values in lengths.values()]
    assert max(means) - min(means) < 0.15


def test_the_vocabulary_is_a_few_hundred_words():
    words = {word for document in pretraining_text(list(SUITE), 900, seed=0) for word in document.split()}
    assert 200 < len(words) < 500


def test_asking_for_too_many_says_how_many_there_are():
    with pytest.raises(ValueError, match=r"has only \d+ different examples"):
        draw_split("gift_pairs", "test", 100_000, seed=0)


@pytest.fixture(scope="module")
def documents():
    """The pre-training text of the default config."""
    pretrain = CONFIG["model"]["source"]["pretrain"]
    return pretraining_text(list(CONFIG["tasks"]), pretrain["documents_per_task"], CONFIG["seed"])


def test_the_tasks_to_be_learnt_in_turn_leave_the_pretraining_text_as_it_was_without_them(documents):
    found = hashlib.sha256("\n".join(documents).encode()).hexdigest()
    assert found == "634b26c23c74853266308ac66ff2236f0231dcfa7fd0240243a7243f183fb4fa"
    assert pretraining_text(list(SUITE), 100, seed=0) == pretraining_text(list(CONFIG["tasks"]), 100, seed=0)
    assert len(CONTINUAL) == 8


@pytest.mark.parametrize("name", CONTINUAL)
def test_a_task_to_be_learnt_in_turn_fills_its_splits(name):
    sizes = {"train": 1600, "attribution": 200, "validation": 200, "test": 200}
    texts = [{f["text"] for f in draw_split(name, split, size, seed=0)} for split, size in sizes.items()]
    assert len(set().union(*texts)) == sum(sizes.values())


def test_no_two_tasks_share_a_label_word():
    words = [word for name in CLASSIFICATION for word in SUITE[name].labels]
    assert len(words) == len(set(words)) == 43


@pytest.mark.parametrize("name", CONTINUAL)
def test_a_task_to_be_learnt_in_turn_is_told_in_words_of_the_pretraining_text(name, documents):
    """Each is one token, label words too; and no answer stands in its text."""
    known = {word for document in documents for word in document.split()}
    words = {word for fields in draw_split(name, "train", 800, seed=0) for word in fields["text"].split()}
    labels = set(SUITE[name].labels)
    assert words | labels <= known
    assert not words & labels
    tokenizer = build_tokenizer(documents, CONFIG["model"]["source"]["pretrain"]["vocabulary"])
    assert all(len(tokenizer(word)["input_ids"]) == 1 for word in words | labels)


def test_tasks_to_be_learnt_in_turn_share_words():
    words = {
        name: {word for fields in draw_split(name, "train", 800, seed=0) for word in fields["text"].split()}
        for name in CONTINUAL
    }
    for name, own in words.items():
        others = set().union(*(found for other, found in words.items() if other != name))
        assert len(own & others) > len(own) / 2, name


# Each word that tells a topic, by hand.
TOPICS = {
    "encyclopedia": {
        "film": "plot cast music ending script hero dialogue camera",
        "meal": "soup curry salad stew pasta steak pie rice",
        "park": "field forest valley meadow pond woods hills",
        "station": "train bus boat plane bike truck",
        "people": "king queen duke monk maid cook",
        "shop": "apples candles eggs pears shirts spoons bottles carpets onions plates",
    },
    "forum_topics": {
        "food": "soup curry salad stew pasta steak pie rice",
        "match": "lions eagles sharks tigers bulls hawks",
        "story": "book pen letter map teacher stamp",
        "music": "flute piano bell singer dancer studio",
        "street": "train bus boat plane bike truck",
    },
    "news_topics": {
        "area": "paris cairo lima oslo delhi tokyo rome quito dublin athens",
        "crowd": "lions eagles sharks tigers bulls hawks",
        "price": "apples candles eggs pears shirts spoons bottles carpets onions plates",
        "rain": "snow frost ice slush mud",
    },
}
GOOD = ("great", "lovely", "superb", "brilliant", "charming", "perfect", "delightful", "splendid")
BAD = ("awful", "boring", "dreadful", "terrible", "weak", "horrible", "dismal", "lousy")
PARTS = {
    "film": TOPICS["encyclopedia"]["film"],
    "meal": TOPICS["encyclopedia"]["meal"],
    "crowd": TOPICS["news_topics"]["crowd"],
}
ASKS = {"when": 0, "on what day": 0, "where": 1, "near what": 1, "how": 2, "by what": 2}


def test_a_word_tells_different_topics_in_different_tasks():
    labels: dict[str, list[str]] = {}
    for topics in TOPICS.values():
        for label, words in topics.items():
            for word in words.split():
                labels.setdefault(word, []).append(label)
    shared = [found for found in labels.values() if len(found) > 1]
    assert len(shared) == 8 + 6 + 6 + 10  # dishes, vehicles, teams, goods
    assert all(len(set(found)) == len(found) for found in shared)


def topic(name: str, text: str) -> str:
    """The only topic of which the text has words, and it has two."""
    counts = {label: len(set(words.split()) & set(text.split())) for label, words in TOPICS[name].items()}
    ((label, count),) = ((label, count) for label, count in counts.items() if count)
    assert count == 2
    return label


def opinions(text: str) -> tuple[int, int]:
    """How many words praise and how many blame."""
    words = text.split()
    return sum(word in GOOD for word in words), sum(word in BAD for word in words)


def stars(text: str) -> str:
    good, bad = opinions(text)
    assert good + bad == 4
    return ("not", "once", "two", "many", "all")[good]


def mostly(text: str) -> str:
    good, bad = opinions(text)
    assert good + bad == 3
    return "win" if good > bad else "wrong"


def follows(text: str) -> str:
    who, part, same, article, whole = re.fullmatch(
        r".*the (\w+) saw the (\w+) .*\. the (\w+) saw (a|no) (\w+) \.", text
    ).groups()
    assert same == who
    assert sum(part in parts.split() for parts in PARTS.values()) == 1
    return "open" if part not in PARTS[whole].split() else "so" if article == "a" else "never"


def asks_again(text: str) -> str:
    asked = "|".join(ASKS)
    first, second = re.fullmatch(rf"({asked}) did the \w+ \w+ the \w+ \? ({asked}) \?", text).groups()
    assert first != second
    return "again" if ASKS[first] == ASKS[second] else "unlike"


READINGS = {
    "encyclopedia": lambda text: topic("encyclopedia", text),
    "shop_stars": stars,
    "forum_topics": lambda text: topic("forum_topics", text),
    "news_topics": lambda text: topic("news_topics", text),
    "claim_inference": follows,
    "question_twins": asks_again,
    "short_inference": lambda text: "right" if follows(text) == "so" else "perhaps",
    "verdict_lines": mostly,
}


@pytest.mark.parametrize("name", CONTINUAL)
def test_the_label_follows_from_the_text(name):
    for fields in draw_split(name, "train", 1000, seed=0):
        assert fields["label"] == READINGS[name](fields["text"])
