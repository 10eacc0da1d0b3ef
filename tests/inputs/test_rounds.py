"""Curves and predictions from pandas whose rounds or rows come in another order."""

import pandas as pd
import pytest

from modal_pretrain.metrics import area_under_curve, label_efficiency, labels_needed
from modal_pretrain.stopping import Estimate, forecast_labels, stable_predictions

LABELS = [10, 20, 30, 40]
CURVE = pd.Series([0.5, 0.8, 0.9, 0.9], index=LABELS)
RANDOM = pd.Series([0.5, 0.6, 0.7, 0.8], index=LABELS)


@pytest.mark.parametrize("table", [False, True])
def test_rounds_of_curves_are_in_the_order_of_labels(table):
    curve = CURVE.to_frame().T if table else CURVE
    other = curve[LABELS[::-1]]
    assert label_efficiency(LABELS, curve, RANDOM) == 2
    for call in (
        lambda: label_efficiency(LABELS, other, RANDOM),
        lambda: labels_needed(LABELS, other, 0.6),
        lambda: area_under_curve(LABELS, other),
    ):
        with pytest.raises(ValueError, match=r"another order than labels: 40 comes"):
            call()
    assert label_efficiency(LABELS, other[LABELS], RANDOM) == 2


def test_as_many_seeds_as_rounds_are_not_taken_for_one_another():
    """As ``pivot(index="n_labels", columns="seed")`` makes them of records."""
    curves = pd.DataFrame(dict.fromkeys(range(4), CURVE))
    for call in (
        lambda: label_efficiency(LABELS, curves, RANDOM),
        lambda: label_efficiency(LABELS, RANDOM, curves),
        lambda: labels_needed(LABELS, curves, 0.6),
        lambda: area_under_curve(LABELS, curves),
    ):
        with pytest.raises(ValueError, match=r"a row for each round; .* Pass \w+\.T"):
            call()
    assert label_efficiency(LABELS, curves.T, RANDOM) == 2
    named_alike = curves.set_axis(LABELS, axis=1).T  # seeds that are called so, too
    assert label_efficiency(LABELS, named_alike, RANDOM) == 2


def test_names_that_are_no_labels_say_nothing():
    curve = CURVE.set_axis(["d", "c", "b", "a"])
    assert label_efficiency(LABELS, curve, RANDOM) == 2


def test_predictions_of_each_round_are_of_the_same_rows():
    first = pd.Series(["a", "b", "b"], index=["x", "y", "z"])
    other = first.loc[["z", "x", "y"]]
    assert stable_predictions([first] * 4).stop
    with pytest.raises(ValueError, match=r"history\[1\] has, by its index, the rows"):
        stable_predictions([first, other, first, first])


@pytest.mark.parametrize("table", [False, True])
def test_rounds_named_by_texts_are_in_the_order_of_labels(table):
    labels = [10, 20, 50, 100]
    curve = pd.Series([0.5, 0.8, 0.9, 0.9], index=["10", "20", "50", "100"])
    other = curve.sort_index()  # 10, 100, 20, 50
    if table:
        curve, other = curve.to_frame().T, other.to_frame().T
    right = area_under_curve(labels, curve)
    with pytest.raises(ValueError, match="'10' comes before '100'"):
        area_under_curve(labels, other)
    mended = other[sorted(other if table else other.index, key=float)]
    assert area_under_curve(labels, mended) == right


def test_estimates_of_a_forecast_are_in_the_order_of_labels():
    values = [0.6, 0.7, 0.75, 0.78]
    seen = pd.Series([Estimate(v, v - 0.1, v + 0.1, 40, "") for v in values], LABELS)
    right = forecast_labels(LABELS, seen, 0.9, random_state=0)
    assert right == forecast_labels(LABELS, seen.tolist(), 0.9, random_state=0)
    with pytest.raises(ValueError, match="estimates has, by the names of its rounds"):
        forecast_labels(LABELS, seen[LABELS[::-1]], 0.9)
