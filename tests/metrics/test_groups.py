"""Accuracies of groups, and enrichment."""

import numpy as np
import pandas as pd
import pytest

from modal_pretrain.metrics import (
    atypical_accuracy,
    calibration_error,
    enrichment,
    group_accuracies,
    worst_group_accuracy,
)

Y = ["a", "a", "b", "b", "b", "b"]
P = ["a", "b", "b", "b", "b", "a"]
G = [3, 3, 5, 5, 7, 7]
NAN = float("nan")


def test_group_accuracies_by_hand():
    assert group_accuracies(Y, P, G) == {3: 0.5, 5: 1.0, 7: 0.5}
    assert worst_group_accuracy(Y, P, G) == 0.5
    assert all(type(key) is int for key in group_accuracies(Y, P, G))


def test_accuracies_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"one length, got y_true \(6,\), y_pred"):
        group_accuracies(Y, P[:5], G)
    with pytest.raises(ValueError, match="no examples"):
        worst_group_accuracy([], [], [])
    with pytest.raises(ValueError, match="boolean flags"):
        atypical_accuracy(Y, P, G)


@pytest.mark.parametrize("y_true", [[0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0]])
def test_accuracies_refuse_probabilities_as_predictions(y_true):
    said = np.array([0.2, 0.8, 1.0, 0.9], dtype="f4")  # of a booster, or a sigmoid
    for call, third in ((worst_group_accuracy, G[:4]), (atypical_accuracy, [True] * 4)):
        with pytest.raises(ValueError, match=r"decimals, such as 0\.2, .*> 0\.5"):
            call(y_true, said, third)
    # Ratings in half steps are classes, also one that is only predicted.
    assert atypical_accuracy([0.5, 1.5], [0.5, 2.5], [True] * 2) == 0.5
    assert atypical_accuracy([1.0, 2.0], [1.0, 2.5], [True] * 2) == 0.5


@pytest.mark.parametrize("late", range(3))
def test_accuracies_of_what_comes_in_another_order(late):
    index = [f"id{i}" for i in range(6)]
    given = [pd.Series(values, index) for values in (Y, P, G)]
    assert group_accuracies(*given) == group_accuracies(Y, P, G)
    given[late] = given[late].iloc[::-1]
    name = ["y_pred", "y_pred", "groups"][late]
    with pytest.raises(ValueError, match=rf"{name}\.loc\[y_true\.index\]"):
        group_accuracies(*given)
    proba = pd.DataFrame({"a": [0.1] * 6, "b": [0.9] * 6}, index)
    with pytest.raises(ValueError, match=r"y_true\.loc\[proba\.index\]"):
        calibration_error(pd.Series(Y, index).iloc[::-1], proba, ["a", "b"])


def test_accuracies_warn_of_a_class_that_is_typed_otherwise():
    y_true, y_pred = ["Cat", "dog", "Cat"], ["cat", "dog", "cat"]
    for call, third in (
        (group_accuracies, G[:3]),
        (worst_group_accuracy, G[:3]),
        (atypical_accuracy, [True] * 3),
    ):
        said = r"y_true has the label 'Cat' 2 times, .* beside the model's class 'cat'"
        with pytest.warns(UserWarning, match=said) as caught:
            call(y_true, y_pred, third)
        assert [warning.filename for warning in caught] == [__file__]
    # Both may be right, single letters may be two, and a class may be never predicted.
    assert group_accuracies(["US", "us"], ["us", "US"], [1, 1]) == {1: 0.0}
    assert group_accuracies(["M", "m"], ["m", "m"], [1, 2]) == {1: 0.0, 2: 1.0}
    assert group_accuracies(["cow", "cat"], ["cat", "cat"], [1, 1]) == {1: 0.5}


def test_accuracies_warn_where_no_prediction_can_be_right():
    """As where groups and predictions have changed places."""
    y, predicted, groups = ["cat", "dog"], ["dog", "dog"], ["sea", "land"]
    for call in group_accuracies, worst_group_accuracy:
        with pytest.warns(
            UserWarning, match="every prediction counts as wrong"
        ) as caught:
            call(y, groups, predicted)
        assert [warning.filename for warning in caught] == [__file__]
    # One label may be all that there is in so few rows.
    assert group_accuracies(["cat", "cow"], predicted, [1, 1]) == {1: 0.0}
    assert group_accuracies([1, 1], [0, 2], [1, 1]) == {1: 0.0}


def test_atypical_accuracy():
    assert atypical_accuracy(Y, P, [True, True, False, False, True, False]) == (
        pytest.approx(2 / 3)
    )
    assert np.isnan(atypical_accuracy(Y, P, [False] * 6))


def test_enrichment():
    pool = [True] * 2 + [False] * 18
    assert enrichment([True, True, False, False], pool) == 5.0
    assert enrichment([True], pool) == 10.0
    assert enrichment([False], pool) == 0.0
    assert np.isnan(enrichment([], pool))
    assert np.isnan(enrichment([False], [False] * 4))
    with pytest.raises(ValueError, match="acquired must be"):
        enrichment([3, 17], pool)


@pytest.mark.parametrize("chosen", [[0, 1, 9, 10], [0], [7, 8, 9]])
def test_enrichment_warns_of_a_mask_of_the_pool(chosen):
    mask = np.isin(np.arange(20), chosen)
    with pytest.warns(UserWarning, match=r"pass flags\[acquired\] and flags"):
        enrichment(mask, np.arange(20) < 2)


def test_enrichment_warns_of_swapped_arguments():
    with pytest.warns(UserWarning, match="swap them"):
        enrichment([True] * 2 + [False] * 18, [True, False])


def test_enrichment_of_the_whole_pool_does_not_warn(recwarn):
    flags = np.arange(20) < 2
    assert enrichment(flags, flags) == 1.0
    assert not recwarn.list


@pytest.mark.parametrize(
    ("y_true", "y_pred", "groups", "message"),
    [
        (["0", "1"], [0, 1], [0, 0], "y_true and y_pred hold labels of different"),
        ([0, 1], [0, 1], [0, NAN], r"groups\[1\] is NaN"),
        ([0, 1], [0, 1], ["a", None], "groups contains missing labels"),
        ([0, 1], [0, 1], [0, "a"], "groups mixes kinds of labels"),
        (pd.array([0, None], dtype="Int64"), [0, 1], [0, 0], "y_true contains missing"),
        ([0, NAN], [0, NAN], [0, 0], r"y_true\[1\] is NaN"),
        (np.ma.array([0, 1], mask=[0, 1]), [0, 1], [0, 0], "y_true contains missing"),
        (["a"], [b"a"], [0], "y_pred.*bytes"),
    ],
)
def test_labels_that_tell_nothing_are_no_accuracy(y_true, y_pred, groups, message):
    for metric in (group_accuracies, worst_group_accuracy):
        with pytest.raises(ValueError, match=message):
            metric(y_true, y_pred, groups)


def test_atypical_accuracy_of_labels_of_two_kinds():
    with pytest.raises(ValueError, match="y_true and y_pred hold labels of different"):
        atypical_accuracy(["0"], [0], [True])


@pytest.mark.parametrize(
    "flags",
    [
        pd.array([True, None], dtype="boolean"),
        np.ma.array([True, False], mask=[0, 1]),
        [True, None],
        [1, NAN],
    ],
)
def test_flags_that_are_missing(flags):
    with pytest.raises(ValueError, match="disambiguating"):
        atypical_accuracy([0, 1], [0, 1], flags)
    with pytest.raises(ValueError, match="acquired"):
        enrichment(flags, [True, False])


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_groups_that_are_days_have_their_dates_as_names(unit):
    days = np.array(["2024-01-01", "2024-02-01"], dtype=f"datetime64[{unit}]")
    found = group_accuracies([0, 1], [0, 0], days)
    assert found == {pd.Timestamp("2024-01-01"): 1.0, pd.Timestamp("2024-02-01"): 0.0}
    waits = group_accuracies([0, 1], [0, 0], days - days[0])
    assert list(waits) == [pd.Timedelta(0), pd.Timedelta(days=31)]


def test_a_table_is_refused_with_the_way_to_make_it_a_column():
    y = np.array([0, 1, 1])
    parts = [("a", 1), ("b", 2), ("b", 1)]
    with pytest.raises(ValueError, match=r"Write np\.ravel\(y_true\)"):
        group_accuracies(y[:, None], y, list("abb"))
    advice = r"write groups = \['/'\.join\(map\(str, parts\)\)"
    for groups in (parts, pd.DataFrame(parts)):
        with pytest.raises(ValueError, match=advice):
            group_accuracies(y, y, groups)
        joined = ["/".join(map(str, group)) for group in np.asarray(groups)]
        assert set(group_accuracies(y, y, joined)) == {"a/1", "b/2", "b/1"}
