"""Labels that curves need, and the area under them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from modal_pretrain.metrics import (
    area_under_curve,
    label_efficiency,
    labels_needed,
)

NAN = float("nan")
CURVE = [0.5, 0.8, 0.9]
ROUNDS = [10, 20, 30]


def test_label_efficiency_interpolates_between_rounds():
    # Random ends at 0.6 with 30 labels; the strategy passes 0.6 halfway to 20.
    assert label_efficiency([10, 20, 30], [0.5, 0.7, 0.8], [0.5, 0.55, 0.6]) == 2.0


def test_label_efficiency_of_a_worse_strategy_is_the_inverse():
    good, bad = [0.5, 0.7, 0.8], [0.5, 0.55, 0.6]
    assert label_efficiency([10, 20, 30], bad, good) == 0.5
    assert label_efficiency([10, 20, 30], good, good) == 1.0


def test_label_efficiency_levels():
    labels, up, flat = [10, 20, 30], [0.5, 0.7, 0.8], [0.5, 0.5, 0.6]
    assert label_efficiency(labels, up, flat, level=0.6) == 2.0
    assert label_efficiency(labels, up, flat, level=0.4) == 1.0
    assert np.isnan(label_efficiency(labels, up, flat, level=0.7))
    assert np.isnan(label_efficiency(labels, flat, up, level=0.7))


def test_label_efficiency_uses_the_running_maximum_of_mean_curves():
    labels = [10, 20, 30]
    # Both end at 0.6 or above; random passed it at 15 labels, the strategy at 12.5.
    assert label_efficiency(labels, [0.5, 0.9, 0.7], [0.5, 0.7, 0.6]) == (
        pytest.approx(15 / 12.5)
    )
    seeds = [[0.4, 0.6, 0.8], [0.6, 0.8, 0.8]]
    assert label_efficiency(labels, seeds, [0.5, 0.55, 0.6]) == 2.0
    # Curves that only fluctuate below their start never leave the first round.
    assert label_efficiency(labels, [0.5, 0.48, 0.49], [0.5, 0.49, 0.48]) == 1.0


def test_label_efficiency_of_curves_that_stay_at_chance():
    labels = [10, 20, 30]
    lucky, slow = [0.5, 0.506, 0.505], [0.5, 0.5, 0.505]
    assert label_efficiency(labels, lucky, slow) == 1.0
    assert label_efficiency(labels, lucky, slow, min_gain=0) > 1.5
    assert label_efficiency(labels, lucky, slow, level=0.505) > 1.5
    # One that learns is not at chance, whatever the other does.
    assert label_efficiency(labels, [0.5, 0.7, 0.9], slow) > 2.5
    assert label_efficiency(labels, slow, [0.5, 0.7, 0.9]) < 0.4


@pytest.mark.parametrize("rows", [7, 15, 30, 50])
def test_equal_accuracies_are_equal_however_seeds_share_them(rows):
    labels = [10, 20, 30]
    # Test rows that are right, of three seeds: 18 in all after each of two rounds.
    right = np.array([[1, 5, 7], [1, 7, 6], [1, 6, 5]]) + rows - 7
    slow = np.array([[1, 2, 6], [1, 2, 6], [1, 2, 6]]) + rows - 7
    other = np.round(slow / rows, 6)  # as in records
    for seeds in itertools.permutations(range(3)):
        curve = np.round(right[list(seeds)] / rows, 6)
        for level in (curve.mean(axis=0)[-1], other.mean(axis=0)[-1]):
            assert labels_needed(labels, curve, level) == pytest.approx(20, abs=1e-3)
        assert label_efficiency(labels, curve, other) == pytest.approx(1.5, abs=1e-3)


def test_a_gain_as_large_as_the_least_one_counts():
    # 0.82 - 0.80 is a little less than 0.02.
    assert label_efficiency([10, 20, 30], [0.8, 0.82, 0.82], [0.8, 0.8, 0.82]) == 1.5


@pytest.mark.parametrize(
    ("labels", "curve", "match"),
    [
        ([10, 10, 20], [0, 0, 0], "increase"),
        ([0, 10, 20], [0, 0, 0], "positive"),
        ([10, 20, 30], [0, 0], r"strategy must have shape \(3,\)"),
        ([10, 20, 30], [0, np.nan, 0], "not finite"),
        ([], [], "not empty"),
    ],
)
def test_label_efficiency_refuses(labels, curve, match):
    with pytest.raises(ValueError, match=match):
        label_efficiency(labels, curve, curve)


def test_area_under_curve():
    assert area_under_curve([10, 20, 40], [1, 1, 1]) == 1.0
    assert area_under_curve([10, 20, 40], [0.0, 1.0, 1.0]) == pytest.approx(25 / 30)
    both = area_under_curve([10, 20, 40], [[1, 1, 1], [0, 1, 1]])
    np.testing.assert_allclose(both, [1, 25 / 30])
    with pytest.raises(ValueError, match="two rounds"):
        area_under_curve([10], [0.5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": NAN}, "level must be a finite number"),
        ({"level": "0.8"}, "level must be a finite number.*without quotes"),
        ({"level": True}, "level must be a finite number"),
        ({"min_gain": NAN}, "min_gain must be a finite number"),
        ({"labels": [10, 20, np.inf]}, r"labels\[2\] is inf, which"),
        ({"labels": ["10", "20", "30"]}, "labels must be an array of numbers"),
        ({"strategy": np.ma.array(CURVE, mask=[0, 1, 0])}, "strategy has masked"),
        ({"random": [[1, 2, 3], [1, 2]]}, "random holds rows of different lengths"),
        ({"random": [1j, 2, 3]}, "random must be an array of numbers"),
    ],
)
def test_efficiency_of_what_is_no_curve(change, message):
    given = {"labels": ROUNDS, "strategy": CURVE, "random": CURVE} | change
    with pytest.raises(ValueError, match=message):
        label_efficiency(**given)


def test_labels_needed_for_no_level():
    for level in (NAN, None, "a"):
        with pytest.raises(ValueError, match="level must be a finite number"):
            labels_needed(ROUNDS, CURVE, level)


@pytest.mark.parametrize("of", [area_under_curve, lambda a, b: labels_needed(a, b, 15)])
def test_labels_and_values_the_other_way_round(of):
    labels, values = [10, 20, 30], [0.5, 0.6, 0.7]
    with pytest.warns(UserWarning, match="swap"):
        of(values, labels)
    of(labels, values)
    of([0.1, 0.2, 0.3], values)  # shares of a pool


def test_curves_of_other_rounds():
    a = pd.DataFrame([[0.5, 0.6, 0.7]], columns=[20, 40, 60])
    with pytest.raises(
        ValueError, match=r"random has, by its columns, the rounds \[25"
    ):
        label_efficiency([20, 40, 60], a, a.set_axis([25, 45, 65], axis=1))
    assert label_efficiency([20, 40, 60], a, a) == 1
