"""Intervals over seeds."""

import numpy as np
import pytest

from modal_pretrain.metrics import (
    Interval,
    label_efficiency,
    paired_bootstrap,
)

NAN = float("nan")


def test_paired_bootstrap_cancels_what_seeds_share():
    seed_effect = np.linspace(0, 1, 8)
    result = paired_bootstrap(seed_effect + 0.1, seed_effect, random_state=0)
    assert result == pytest.approx((0.1, 0.1, 0.1))
    again = paired_bootstrap(seed_effect**2, seed_effect, random_state=3)
    assert again == paired_bootstrap(seed_effect**2, seed_effect, random_state=3)
    assert again.low < again.estimate < again.high


def test_paired_bootstrap_of_a_multiple():
    rng = np.random.RandomState(0)
    noise = rng.normal(scale=0.01, size=(6, 3))
    result = paired_bootstrap(
        np.array([0.5, 0.7, 0.8]) + noise,
        np.array([0.5, 0.55, 0.6]) + noise,
        lambda s, r: label_efficiency([10, 20, 30], s, r),
        random_state=0,
    )
    assert result.low <= result.estimate == pytest.approx(2, abs=0.2)
    assert result.high < 2.4


def test_paired_bootstrap_edges():
    result = paired_bootstrap([1.0], [0.0], lambda a, b: np.nan, random_state=0)
    assert np.isnan(result).all()
    with pytest.raises(ValueError, match="same seeds"):
        paired_bootstrap([1, 2], [1])
    with pytest.raises(ValueError, match="confidence"):
        paired_bootstrap([1], [1], confidence=95)


def test_paired_bootstrap_of_a_ratio_that_may_be_infinite():
    def ratio(a, b):
        return a.sum() / b.sum() if b.any() else np.inf

    found = paired_bootstrap([1, 1, 1], [0, 1, 1], ratio, random_state=0)
    assert found == (1.5, 1.0, np.inf)
    found = paired_bootstrap([1], [1], lambda a, b: -np.inf, random_state=0)
    assert found == (-np.inf,) * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": [NAN, 1.0]}, r"a\[0\] is NaN"),
        ({"b": ["x", "y"]}, "b must be an array of numbers"),
        ({"n_resamples": 0}, "n_resamples must be"),
        ({"n_resamples": 1.5}, "n_resamples must be"),
        ({"confidence": 95}, "confidence must be"),
        ({"confidence": "0.9"}, "confidence must be.*without quotes"),
        ({"random_state": "a"}, "random_state must be"),
        ({"statistic": 3}, "statistic must be"),
        ({"statistic": np.subtract}, "statistic must return one number"),
        ({"statistic": lambda a, b: None}, "statistic must return one number"),
        ({"statistic": lambda a, b: 1j}, "statistic must return one number"),
    ],
)
def test_bootstrap_refuses(change, message):
    given = {"a": [1.0, 2.0], "b": [0.0, 1.0]} | change
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(**given)


def test_a_number_is_in_an_interval_between_its_bounds():
    interval = Interval(0.1, -0.2, 0.3)
    assert 0 in interval and 0.31 not in interval and "0" not in interval
    assert 0 not in Interval(0.1, np.nan, np.nan)


def test_a_statistic_of_one_array():
    with pytest.raises(TypeError, match=r"a function of a and b.*mean of them"):
        paired_bootstrap([1.0, 2.0], [1.0, 3.0], np.mean)
