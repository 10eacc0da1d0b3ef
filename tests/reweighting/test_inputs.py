"""What may not be weighed is named; what may is weighed alike in every form."""

import numpy as np
import pandas as pd
import pytest
import torch

from modal_pretrain.reweighting import error_weights, tag_weights

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1], 30)
X = RNG.normal(size=(60, 5)) + 2 * Y[:, None]
PLACE = np.where(RNG.random(60) < 0.15, 1 - Y, Y)


def test_integer_embeddings_are_numbers():
    """The heads' weights were rounded to integers, that is to zero."""
    whole = (10 * X).astype(int)
    expected = error_weights(whole.astype(float), Y)
    np.testing.assert_array_equal(error_weights(whole, Y), expected)
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize(
    "wrap",
    [
        lambda X: X.tolist(),
        pd.DataFrame,
        torch.tensor,
        np.asfortranarray,
        lambda X: X.astype(">f8"),
        lambda X: X.astype(object),
        lambda X: X[::-1][::-1],
    ],
)
def test_forms_of_the_embeddings(wrap):
    np.testing.assert_allclose(error_weights(wrap(X), Y), error_weights(X, Y))


@pytest.mark.parametrize("wrap", [pd.Categorical, torch.tensor, list])
def test_forms_of_the_labels(wrap):
    np.testing.assert_array_equal(error_weights(X, wrap(Y)), error_weights(X, Y))


BAD = {
    "nan": ({"X": np.full((60, 5), np.nan)}, r"X\[0, 0\] is NaN"),
    "huge": ({"X": X * 1e200}, "X holds values up to.*Centre and scale"),
    "words": ({"X": X.astype(str)}, "X must be an array of numbers"),
    "complex": ({"X": X * 1j}, "X must be an array of numbers"),
    "one column": ({"X": X[:, 0]}, "X must have shape"),
    "other length": ({"X": X[:3]}, "X must have shape"),
    "no rows": ({"X": X[:0], "y": Y[:0], "ignore": []}, "X must have shape"),
    "label missing": ({"y": np.where(Y, "a", None)}, "y contains missing labels"),
    "label NaN": ({"y": np.where(Y, 1.0, np.nan)}, r"y\[0\] is NaN"),
    "labels mixed": ({"y": ["a"] * 30 + [1] * 30}, "y mixes kinds"),
    "column": ({"y": Y[:, None]}, "X must have shape"),
    "C": ({"C": -1}, "C must be"),
    "C NaN": ({"C": np.nan}, "C must be"),
    "C word": ({"C": "a"}, "C must be"),
    "folds": ({"n_folds": 1}, "n_folds must be"),
    "strength": ({"strength": "4"}, "strength must be"),
    "weight negative": ({"sample_weight": -np.ones(60)}, r"sample_weight\[0\] is neg"),
    "weight NaN": ({"sample_weight": np.full(60, np.nan)}, r"sample_weight\[0\] is N"),
    "weight zero": ({"sample_weight": np.zeros(60)}, "sample_weight is zero"),
    "weight short": ({"sample_weight": np.ones(3)}, "sample_weight must have shape"),
    "weight masked": ({"sample_weight": np.ma.array(np.ones(60), mask=Y)}, "masked"),
    "offset short": ({"offset": np.zeros((3, 2))}, "offset must have shape"),
    "offset narrow": ({"offset": np.zeros((60, 1))}, "y must hold column numbers"),
    "offset NaN": ({"offset": np.full((60, 2), np.nan)}, r"offset\[0, 0\] is NaN"),
    "offset and words": (
        {"offset": np.zeros((60, 2)), "y": np.where(Y, "b", "a")},
        "y must hold column numbers",
    ),
    "otherwise": ({"otherwise": "tags"}, "otherwise must be 'nothing' or 'errors'"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("constant", [True, False])
def test_refused(what, constant):
    given, message = BAD[what]
    place = np.zeros(60, dtype=int) if constant else PLACE
    arguments = {"X": X, "y": Y, "ignore": place, **given}
    with pytest.raises(ValueError, match=message):
        tag_weights(**arguments)
    if "otherwise" not in given:
        del arguments["ignore"]
        with pytest.raises(ValueError, match=message):
            error_weights(**arguments)


def test_logits_may_be_a_list():
    expected = error_weights(X, Y, offset=np.zeros((60, 2)))
    np.testing.assert_array_equal(error_weights(X, Y, offset=[[0, 0]] * 60), expected)


def test_measurements_are_no_labels():
    with pytest.raises(ValueError, match="y holds decimals such as"):
        error_weights(X, X[:, 0])
    stars = np.where(Y, 3.5, 4.0)
    np.testing.assert_array_equal(error_weights(X, stars), error_weights(X, 1 - Y))
