"""Any argument for metrics and weights: an answer, or an error that names it."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from modal_pretrain import metrics
from modal_pretrain._inputs.labels import as_labels
from modal_pretrain.reweighting import error_weights, tag_weights
from tests.attack.cases import check_error, odd_labels, odd_values

RNG = np.random.default_rng(0)
Y = np.array([0, 1] * 10)
X = RNG.normal(size=(20, 3)) + Y[:, None]
PLACE = np.where(np.arange(20) < 4, 1 - Y, Y)
CURVE = [0.5, 0.7, 0.9]
# What each takes if nothing is odd.
GOOD = {
    metrics.group_accuracies: {"y_true": Y, "y_pred": PLACE, "groups": PLACE},
    metrics.worst_group_accuracy: {"y_true": Y, "y_pred": PLACE, "groups": PLACE},
    metrics.atypical_accuracy: {
        "y_true": Y,
        "y_pred": PLACE,
        "disambiguating": PLACE != Y,
    },
    metrics.enrichment: {"acquired": PLACE != Y, "pool": PLACE != Y},
    metrics.calibration_error: {
        "y_true": Y,
        "proba": np.full((20, 2), 0.5),
        "classes": [0, 1],
        "bins": 10,
    },
    metrics.label_efficiency: {
        "labels": [1, 2, 3],
        "strategy": CURVE,
        "random": CURVE,
        "level": 0.7,
        "min_gain": 0.0,
    },
    metrics.labels_needed: {"labels": [1, 2, 3], "values": CURVE, "level": 0.7},
    metrics.area_under_curve: {"labels": [1, 2, 3], "values": CURVE},
    metrics.paired_bootstrap: {
        "a": CURVE,
        "b": CURVE,
        "statistic": None,
        "confidence": 0.9,
        "n_resamples": 5,
        "random_state": 0,
    },
    metrics.probe_separability: {
        "embeddings": X,
        "target": Y,
        "groups": None,
        "C": 0.1,
        "cv": 2,
        "random_state": 0,
    },
    error_weights: {
        "X": X,
        "y": Y,
        "strength": 4.0,
        "C": 0.01,
        "sample_weight": None,
        "offset": None,
        "n_folds": 5,
    },
    tag_weights: {
        "X": X,
        "y": Y,
        "ignore": PLACE,
        "strength": 4.0,
        "C": 0.01,
        "sample_weight": None,
        "offset": None,
        "otherwise": "nothing",
        "n_folds": 5,
    },
}
# A level that is never reached has no answer; so has a share of nothing.
MAY_BE_NAN = {
    metrics.atypical_accuracy,
    metrics.enrichment,
    metrics.label_efficiency,
    metrics.labels_needed,
}
arrays = npst.arrays(
    st.sampled_from([float, np.float16, ">f4", int, np.uint8, bool, "U2", complex]),
    st.sampled_from([(20,), (20, 2), (20, 3), (3,), (2, 3), (0,), ()]),
)


@pytest.mark.parametrize("function", GOOD, ids=lambda f: f.__name__)
@given(data=st.data())
def test_any_argument(function, data):
    name = data.draw(st.sampled_from(sorted(GOOD[function])))
    value = data.draw(st.one_of(odd_values, odd_labels, arrays))
    if isinstance(value, int) and abs(value) > 10_000:
        return  # resamples and folds that are allowed, and take for ever
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = function(**{**GOOD[function], name: value})
        except Exception as error:
            check_error(error, [name, "1-D arrays", "examples", "area", "column"])
            return
    if function not in MAY_BE_NAN:
        check_finite(found)


def check_finite(found):
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, tuple) and hasattr(found, "weight"):
        found = found.weight
    assert np.isfinite(np.asarray(found, dtype=float)).all()


@given(labels=odd_labels)
def test_labels_are_never_merged(labels):
    """As many different labels come out as went in, each equal to its own."""
    try:
        found = as_labels(labels, "y")
    except Exception as error:
        check_error(error, ["y"])
        return
    if found.ndim != 1 or isinstance(labels, pd.DataFrame):
        return
    given = list(labels)
    assert len(found) == len(given)
    if found.dtype.kind not in "fcmM":  # NaN and NaT equal nothing
        assert len(set(found.tolist())) == len(set(given))
        assert all(one == other for one, other in zip(found, given, strict=True))
