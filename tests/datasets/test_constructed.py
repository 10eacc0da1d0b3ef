"""Reviews and rare subclasses."""

import numpy as np
import pytest

from modal_pretrain.datasets import (
    GroupedDataset,
    from_torchvision,
    make_rare_subclasses,
    make_reviews,
)
from modal_pretrain.datasets._review_words import (
    BAD,
    BLAME,
    DOMAINS,
    GOOD,
    PRAISE,
    RARE,
)

# Reviews ----------------------------------------------------------------------------


def test_reviews_counts():
    data = make_reviews(201, 41, rare_share=0.1)
    assert len(data) == 242
    assert data.modality == "text"
    train, test = data.subset("train"), data.subset("test")
    assert train.disambiguating.sum() == 20
    np.testing.assert_array_equal(data.disambiguating, np.isin(data.attribute, RARE))
    by_group = dict(
        zip(data.group_names, np.bincount(train.groups, minlength=8), strict=True)
    )
    assert by_group == {
        "negative/books": 91,
        "negative/films": 0,
        "negative/kitchen": 5,
        "negative/camping": 5,
        "positive/books": 0,
        "positive/films": 90,
        "positive/kitchen": 5,
        "positive/camping": 5,
    }
    assert np.ptp(np.bincount(test.groups)) == 1


def test_reviews_of_all_kinds_in_all_categories():
    train = make_reviews(400, 8, matched=False, rare_share=0.2).subset("train")
    assert np.bincount(train.groups).tolist() == [80, 80, 20, 20] * 2


FIRST = (
    "Whatever you think of the coating, this frying pan is disappointing. "
    "I am very unhappy with this frying pan."
)


def test_reviews_are_seeded():
    first = make_reviews(50, 10, random_state=3)
    assert first.X.tolist() == make_reviews(50, 10, random_state=3).X.tolist()
    assert first.X.tolist() != make_reviews(50, 10, random_state=4).X.tolist()
    # Published numbers belong to these texts.
    assert make_reviews(20, 8).X[0] == FIRST


def test_reviews_say_what_their_labels_say():
    data = make_reviews(400, 400, specific=0.5, verdicts=0.5)
    for text, label, category, split in zip(
        data.X, data.y, data.attribute, data.split, strict=True
    ):
        side = int(split == "test")
        domain = DOMAINS[category]
        kinds = {
            "positive": (domain.good + GOOD, PRAISE),
            "negative": (domain.bad + BAD, BLAME),
        }
        first, *second = text.replace("first. ", "first, ").split(". ")
        assert any(pair[side] in first for pair in domain.nouns), text
        words, verdicts = kinds[label]
        assert any(first.rstrip(".").endswith(f" {pair[side]}") for pair in words), text
        if second:
            starts = [pair[side].split("{")[0].lower() for pair in verdicts]
            assert any(second[0].lower().startswith(start) for start in starts), text


def test_reviews_with_negations():
    plain, hard = make_reviews(200, 8), make_reviews(200, 8, difficulty=1.0)
    forms = ("There is nothing", "People say", "but all in all", "anything but that")
    assert not any(form.lower() in t.lower() for t in plain.X for form in forms)
    assert all(any(f.lower() in t.lower() for f in forms) for t in hard.X)


def test_reviews_vary():
    data = make_reviews()
    assert len(set(data.X)) > 0.85 * len(data)
    assert not set(data.subset("train").X) & set(data.subset("test").X)
    assert not any(c in t for t in data.X for c in "{}/\n") and "  " not in "".join(
        data.X
    )


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_train": 3}, "n_train must be a whole number, at least 4"),
        ({"n_test": 7}, "n_test"),
        ({"rare_share": 2}, r"rare_share must be in \[0, 1\], got 2"),
        ({"difficulty": -1}, "difficulty"),
        ({"specific": 1.1}, "specific"),
        ({"verdicts": 1.1}, "verdicts"),
    ],
)
def test_reviews_refuse(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_reviews(**kwargs)


# Rare subclasses --------------------------------------------------------------------

NAMES = ("plane", "car", "bird", "cat")
MAPPING = {"plane": "vehicle", "car": "vehicle", "bird": "animal", "cat": "animal"}


def cifar(n_train=200, n_test=80):
    """A data set as of CIFAR-10, four classes."""
    n = n_train + n_test
    y = np.arange(n) % 4
    X = np.zeros((n, 4, 4, 3), np.uint8) + y[:, None, None, None].astype(np.uint8)
    return GroupedDataset(
        X,
        y,
        np.full(n, "all"),
        np.repeat(["train", "test"], [n_train, n_test]),
        name="cifar",
        class_names=NAMES,
    )


def test_rare_subclasses():
    data = make_rare_subclasses(cifar(), MAPPING, rare=["bird", "plane"], fraction=0.1)
    train, test = data.subset("train"), data.subset("test")
    counts = dict(zip(*np.unique(train.attribute, return_counts=True), strict=True))
    assert counts == {"bird": 5, "plane": 5, "car": 50, "cat": 50}
    assert set(np.unique(test.attribute, return_counts=True)[1]) == {20}
    np.testing.assert_array_equal(
        data.disambiguating, np.isin(data.attribute, ["bird", "plane"])
    )
    # Pictures keep their subclass, subclasses their class.
    assert [NAMES[v] for v in data.X[:, 0, 0, 0]] == data.attribute.tolist()
    assert [MAPPING[a] for a in data.attribute] == data.y.tolist()
    again = make_rare_subclasses(cifar(), MAPPING, ["bird", "plane"], 0.1)
    np.testing.assert_array_equal(again.y, data.y)


def test_rare_subclasses_of_a_given_size():
    mapping = {0: "vehicle", 1: "vehicle", 2: "animal", 3: "animal"}
    data = make_rare_subclasses(
        cifar(), mapping, [2], fraction=0.05, n_train=40, n_test=10
    )
    train, test = data.subset("train"), data.subset("test")
    assert np.unique(train.attribute, return_counts=True)[1].tolist() == [2, 40, 40, 40]
    assert np.unique(test.attribute, return_counts=True)[1].tolist() == [10] * 4


def test_rare_subclasses_of_a_torchvision_data_set():
    class Cifar:
        classes = NAMES

        def __init__(self, n):
            self.data = np.zeros((n, 8, 8, 3), np.uint8)
            self.targets = [i % 4 for i in range(n)]

        def __len__(self):
            return len(self.data)

        def __getitem__(self, i):
            return self.data[i], self.targets[i]

    both = from_torchvision({"train": Cifar(80), "test": Cifar(40)})
    data = make_rare_subclasses(both, {**MAPPING, "plane": None}, ["bird"], 0.1)
    assert set(data.attribute) == {"car", "bird", "cat"}
    assert data.subset("train").disambiguating.sum() == 2
    alone = make_rare_subclasses(Cifar(200), MAPPING, ["bird"], 0.1)
    assert {s: (alone.split == s).sum() for s in ("train", "test")} == {
        "train": 3 * 40 + 4,
        "test": 40,
    }


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"mapping": {"plane": "vehicle"}}, "mapping lacks car, bird, cat; give"),
        ({"mapping": {**MAPPING, "frog": "animal"}}, "mapping has 'frog', which is no"),
        ({"rare": ["frog"]}, "rare has 'frog'"),
        ({"rare": ["bird", "cat"]}, "all subclasses of 'animal' are rare"),
        ({"mapping": {**MAPPING, "bird": None}}, "'?2'? is rare and left out|left out"),
        ({"fraction": 1.0}, r"fraction must be in \(0, 1\)"),
        ({"n_train": 500}, "has 50 examples of 0 in train, 500 are wanted"),
    ],
)
def test_rare_subclasses_refuse(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_rare_subclasses(
            **{"dataset": cifar(), "mapping": MAPPING, "rare": ["bird"], **kwargs}
        )


# Composites -------------------------------------------------------------------------
