"""Any value for any parameter, any X, any y: an answer or an error that names it."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.exceptions import NotFittedError

from modal_pretrain import PretrainedClassifier, TimmEncoder
from tests.attack.cases import callables, check_error, odd_labels, odd_values

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
Y = np.array([0, 1] * 4)
CLASSIFIER = PretrainedClassifier(image_size=32)
# What skorch itself takes apart; their rules are its own.
FUNCTIONS = {
    "backbone",
    "callbacks",
    "criterion",
    "optimizer",
    "predict_nonlinearity",
    "train_split",
}
SKORCHS = {"module", "dataset", "iterator_train", "iterator_valid", "compile"}
PARAMETERS = sorted(set(CLASSIFIER.get_params(deep=False)) - SKORCHS)


def refused(estimator, y=Y, rows=X, names=(), **fit):
    """Fit; return True after a good error. A failed fit leaves nothing behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            estimator.fit(rows, y, **fit)
        except Exception as error:
            check_error(error, names)
            with pytest.raises(NotFittedError):
                estimator.predict(X)
            return True
    return False


def check_answers(classifier, labels, rows=X):
    probability = classifier.predict_proba(rows)
    assert probability.shape == (len(rows), len(classifier.classes_))
    assert np.isfinite(probability).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-4)
    assert set(classifier.predict(rows)) <= set(labels)


@pytest.mark.parametrize("name", PARAMETERS)
@given(data=st.data())
def test_any_value_of_a_parameter(name, data):
    value = data.draw(odd_values if name in FUNCTIONS else odd_values | callables)
    params = {"image_size": 32, "max_steps": 2, name: value}
    if isinstance(value, int) and abs(value) > 1_000_000:
        return  # sizes and steps that are allowed, and take for ever
    try:
        classifier = PretrainedClassifier(**params)
    except Exception as error:
        check_error(error, [name])
        return
    # Without that, skorch hands out the module's own values.
    if not refused(classifier, names=[name]) and name != "predict_nonlinearity":
        check_answers(classifier, [0, 1])


ENCODER_PARAMETERS = sorted(TimmEncoder().get_params(deep=False))


@pytest.mark.parametrize("name", ENCODER_PARAMETERS)
@given(value=odd_values)
def test_any_value_of_a_parameter_of_the_transformer(name, value):
    if isinstance(value, int) and abs(value) > 10_000:
        return
    if name == "compile" and value is True:
        return  # takes seconds, and tests/embedding does it
    encoder = TimmEncoder(**{"image_size": 32, name: value})
    try:
        found = encoder.fit_transform(X)
    except Exception as error:
        check_error(error, [name])
    else:
        assert found.shape[0] == len(X)
        assert np.isfinite(found).all()


labels = st.one_of(
    odd_labels,
    st.lists(st.sampled_from([0, 1, "0", None, np.nan, 1.0, True]), max_size=9),
    npst.arrays(
        st.sampled_from([np.int8, np.float32, "datetime64[s]", "<U2", bool, complex]),
        st.sampled_from([(8,), (8, 1), (8, 2), (7,), ()]),
    ),
    st.sampled_from(
        [
            pd.array([0, 1] * 4, dtype="Int64"),
            pd.array([0, 1, None, 1] * 2, dtype="Int64"),
            pd.array([True, False] * 4, dtype="boolean"),
            pd.Series(["a", "b"] * 4, dtype="category"),
            pd.Series(["a", "b"] * 4, dtype="string"),
            pd.DataFrame({"y": [0, 1] * 4}),
        ]
    ),
)


@given(y=labels)
def test_any_labels(y):
    classifier = PretrainedClassifier(image_size=32)
    names = ["y", "label", "classes", "Label", "numbers of samples", "Complex"]
    if not refused(classifier, y, names=names):
        check_answers(classifier, np.asarray(y).ravel().tolist())


weights = st.one_of(
    odd_values,
    npst.arrays(np.float64, st.sampled_from([(8,), (7,), (8, 1)])),
    st.lists(st.floats(0, 10), min_size=8, max_size=8),
)


@given(weight=weights)
def test_any_weights(weight):
    classifier = PretrainedClassifier(image_size=32)
    if not refused(classifier, names=["sample_weight"], sample_weight=weight):
        check_answers(classifier, [0, 1])


SHAPES = [(8, 9, 9, 3), (8, 3, 9, 9), (8, 9, 9), (8, 9, 9, 4), (8, 0, 9, 3), (8, 2)]
KINDS = [np.uint8, np.int64, np.uint16, np.float32, np.float16, bool, complex]


@np.errstate(invalid="ignore", over="ignore")  # NumPy warns on some processors only
def some_pictures(kind, shape, scale):
    return (RNG.random(shape) * scale).astype(kind)


pictures = st.one_of(
    odd_values,
    st.builds(
        some_pictures,
        st.sampled_from(KINDS),
        st.sampled_from(SHAPES),
        st.sampled_from([0, 1, 255, 256, 1e6, np.nan]),
    ),
    st.lists(st.text(max_size=5), min_size=8, max_size=8),
)


@given(rows=pictures)
def test_any_pictures(rows):
    classifier = PretrainedClassifier(image_size=32)
    names = ["X", "picture", "image"]
    if not refused(classifier, rows=rows, names=names):
        check_answers(classifier, [0, 1], rows)


@given(rows=pictures)
def test_any_pictures_to_predict(rows):
    classifier = PretrainedClassifier(image_size=32).fit(X, Y)
    before = classifier.predict_proba(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            probability = classifier.predict_proba(rows)
        except Exception as error:
            check_error(error, ["X", "picture", "image"])
        else:
            assert np.isfinite(probability).all()
    np.testing.assert_array_equal(classifier.predict_proba(X), before)
