import io
import itertools

import numpy as np
import pandas as pd
import pytest

from modal_pretrain.metrics import (
    Interval,
    area_under_curve,
    atypical_accuracy,
    calibration_error,
    enrichment,
    group_accuracies,
    label_efficiency,
    labels_needed,
    paired_bootstrap,
    probe_separability,
    worst_group_accuracy,
)
from modal_pretrain.stopping import Predictions

Y = ["a", "a", "b", "b", "b", "b"]
P = ["a", "b", "b", "b", "b", "a"]
G = [3, 3, 5, 5, 7, 7]


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


NAN = float("nan")
CURVE = [0.5, 0.8, 0.9]
ROUNDS = [10, 20, 30]
RNG = np.random.default_rng(0)
TARGET = np.repeat([0, 1], 30)
EMBEDDINGS = RNG.normal(size=(60, 5)) + 4 * TARGET[:, None]


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proba": [[NAN, NAN]]}, r"proba\[0, 0\] is NaN"),
        ({"proba": [[5.0, 0.0]]}, "proba must hold probabilities.*softmax"),
        ({"proba": [[-0.5, 1.5]]}, "proba must hold probabilities.*row 0"),
        ({"proba": [[0.3, 0.3]]}, "proba must hold probabilities"),
        ({"proba": [["x", "y"]]}, "proba must be an array of numbers"),
        ({"bins": 0}, "bins must be a whole number"),
        ({"bins": 1.5}, "bins must be a whole number"),
        ({"bins": "10"}, "bins must be a whole number.*without quotes"),
        ({"bins": 10**9}, "bins must be a whole number"),
        ({"y_true": [0]}, "y_true and classes hold labels of different kinds"),
        ({"classes": ["a", "a"]}, "classes must name each column of proba once"),
    ],
)
def test_calibration_of_what_are_no_probabilities(change, message):
    given = {"y_true": ["a"], "proba": [[0.9, 0.1]], "classes": ["a", "b"]} | change
    with pytest.raises(ValueError, match=message):
        calibration_error(**given)


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


def test_columns_of_a_frame_are_its_classes():
    frame = pd.DataFrame([[0.9, 0.1], [0.2, 0.8]], columns=["a", "b"])
    expected = calibration_error(["a", "b"], frame.to_numpy(), ["a", "b"])
    assert calibration_error(["a", "b"], frame, ["a", "b"]) == expected
    with pytest.raises(ValueError, match=r"by its columns, the classes \['b', 'a'\]"):
        calibration_error(["a", "b"], frame[["b", "a"]], ["a", "b"])


def test_columns_of_a_frame_from_a_file_are_texts():
    file = io.StringIO("0,1\n0.9,0.1\n0.2,0.8\n")
    frame = pd.read_csv(file)
    expected = calibration_error([0, 1], frame.to_numpy(), [0, 1])
    assert calibration_error([0, 1], frame, [0, 1]) == expected
    with pytest.raises(ValueError, match=r"Pass proba\[\['0', '1'\]\], which puts"):
        calibration_error([0, 1], frame[["1", "0"]], [0, 1])


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


def test_a_number_is_in_an_interval_between_its_bounds():
    interval = Interval(0.1, -0.2, 0.3)
    assert 0 in interval and 0.31 not in interval and "0" not in interval
    assert 0 not in Interval(0.1, np.nan, np.nan)


@pytest.mark.parametrize("of", [area_under_curve, lambda a, b: labels_needed(a, b, 15)])
def test_labels_and_values_the_other_way_round(of):
    labels, values = [10, 20, 30], [0.5, 0.6, 0.7]
    with pytest.warns(UserWarning, match="swap"):
        of(values, labels)
    of(labels, values)
    of([0.1, 0.2, 0.3], values)  # shares of a pool


def test_a_statistic_of_one_array():
    with pytest.raises(TypeError, match=r"a function of a and b.*mean of them"):
        paired_bootstrap([1.0, 2.0], [1.0, 3.0], np.mean)


def test_calibration_of_what_predict_pool_returns():
    predictions = Predictions(np.array([[0.9, 0.1]]), np.array(["a", "b"]))
    with pytest.raises(TypeError, match=r"pass its \.proba"):
        calibration_error(["a"], predictions, ["a", "b"])


def test_curves_of_other_rounds():
    a = pd.DataFrame([[0.5, 0.6, 0.7]], columns=[20, 40, 60])
    with pytest.raises(
        ValueError, match=r"random has, by its columns, the rounds \[25"
    ):
        label_efficiency([20, 40, 60], a, a.set_axis([25, 45, 65], axis=1))
    assert label_efficiency([20, 40, 60], a, a) == 1
