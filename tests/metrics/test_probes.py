"""What a linear probe separates."""

import numpy as np
import pytest

from modal_pretrain.metrics import probe_separability

NAN = float("nan")
RNG = np.random.default_rng(0)
TARGET = np.repeat([0, 1], 30)
EMBEDDINGS = RNG.normal(size=(60, 5)) + 4 * TARGET[:, None]


def _embeddings(n=600, d=8):
    rng = np.random.RandomState(0)
    y, a = rng.randint(2, size=(2, n))
    X = rng.normal(size=(n, d))
    X[:, 0] += 8 * y
    X[:, 1] += 8 * a
    return X, y, a


def test_probe_finds_linear_properties_and_not_an_exclusive_or():
    X, y, a = _embeddings()
    groups = 2 * y + a
    assert probe_separability(X, y, groups=groups, random_state=0) > 0.97
    assert probe_separability(X, a, groups=groups, random_state=0) > 0.97
    mismatch = y != a
    assert 0.35 < probe_separability(X, mismatch, groups=groups, random_state=0) < 0.65
    # An interaction makes it linear.
    X = np.c_[X, (X[:, 0] - 4) * (X[:, 1] - 4)]
    assert probe_separability(X, mismatch, groups=groups, random_state=0) > 0.97


def test_probe_balances_groups():
    X, y, a = _embeddings(2000)
    # The attribute is not in the embedding; it only goes with the class.
    X[:, 1] -= 8 * a
    keep = (y == a) | (np.arange(len(y)) % 10 == 0)
    X, y, a = X[keep], y[keep], a[keep]
    assert probe_separability(X, a, random_state=0) > 0.8
    assert probe_separability(X, a, groups=2 * y + a, random_state=0) < 0.65


def test_probe_takes_strings_and_rare_values():
    X, y, _ = _embeddings()
    keep = (y == 0) | (np.cumsum(y) <= 20)
    names = np.where(y == 1, "rare", "usual")
    assert probe_separability(X[keep], names[keep], random_state=0) > 0.9
    first = probe_separability(X[keep], names[keep], random_state=1)
    assert first == probe_separability(X[keep], names[keep], random_state=1)


def test_probe_refuses():
    X, y, _ = _embeddings(20)
    with pytest.raises(ValueError, match="two values at least"):
        probe_separability(X, np.zeros(20))
    with pytest.raises(ValueError, match="embeddings must have shape"):
        probe_separability(X[:10], y)
    with pytest.raises(ValueError, match="fewer than the cv=5"):
        probe_separability(X, np.arange(20) < 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": EMBEDDINGS * np.nan}, r"embeddings\[0, 0\] is NaN"),
        ({"embeddings": EMBEDDINGS.astype(str)}, "embeddings must be an array of num"),
        ({"embeddings": EMBEDDINGS[:, :0]}, "embeddings must have shape"),
        ({"embeddings": EMBEDDINGS * 1e300}, "embeddings hold values up to"),
        ({"target": np.where(TARGET, 1.0, NAN)}, r"target\[0\] is NaN"),
        ({"target": np.where(TARGET, "a", None)}, "target contains missing"),
        ({"groups": [NAN] * 60}, r"groups\[0\] is NaN"),
        ({"groups": [None] * 60}, "groups contains missing"),
        ({"C": 0}, "C must be"),
        ({"C": "a"}, "C must be"),
        ({"cv": 1}, "cv must be"),
        ({"cv": "5"}, "cv must be.*without quotes"),
        ({"random_state": "a"}, "random_state must be"),
    ],
)
def test_probe_of_what_is_no_number(change, message):
    given = {"embeddings": EMBEDDINGS, "target": TARGET} | change
    with pytest.raises(ValueError, match=message):
        probe_separability(**given)


def test_probe_of_nothing():
    for target, got in (([], "no rows"), (["a"], r"\['a'\]")):
        with pytest.raises(ValueError, match=f"target must have two .*, got {got}"):
            probe_separability(np.zeros((len(target), 2)), target)
