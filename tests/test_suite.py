"""Properties of the embedded suite: splits apart, labels balanced and right, no shortcut for a bag of words."""

import re
from collections import Counter

import numpy as np
import pytest
import torch

from taskneurons.data.suite.generator import SPLIT_SHARES, SUITE, draw_split, input_key, pretraining_text

CLASSIFICATION = [name for name, task in SUITE.items() if task.labels]
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
@pytest.mark.parametrize("name", ["gift_pairs", "chase_pairs", "place_inference", "owner_inference"])
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
