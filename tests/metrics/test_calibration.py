"""Calibration, and columns that are classes."""

import io

import numpy as np
import pandas as pd
import pytest

from modal_pretrain.metrics import calibration_error
from modal_pretrain.stopping import Predictions

NAN = float("nan")


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


def test_calibration_of_what_predict_pool_returns():
    predictions = Predictions(np.array([[0.9, 0.1]]), np.array(["a", "b"]))
    with pytest.raises(TypeError, match=r"pass its \.proba"):
        calibration_error(["a"], predictions, ["a", "b"])
