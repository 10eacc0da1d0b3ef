"""Labels keep their kind: nothing is lost, merged or guessed."""

import datetime
import decimal
import enum
import warnings
from collections import deque

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from modal_pretrain._checks import ParameterError
from modal_pretrain._inputs.labels import as_labels, comparable


class Fruit(str, enum.Enum):
    APPLE = "apple"
    PEAR = "pear"


class Level(enum.IntEnum):
    LOW = 3
    HIGH = 7


class Loud(str):
    def __str__(self):
        return self.upper()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([Fruit.APPLE, Fruit.PEAR], "U"),
        (np.array([Fruit.APPLE, Fruit.PEAR], dtype=object), "O"),
        ([Loud("apple"), Loud("pear")], "U"),
        (deque([Fruit.APPLE, Fruit.PEAR]), "U"),
        (np.array(["apple", "pear"], dtype=np.dtypes.StringDType()), "O"),
        (pd.Categorical(["apple", "pear"]), "OU"),  # of pandas 3, and before
    ],
)
def test_strings(values, kind):
    found = as_labels(values, "y")
    assert found.dtype.kind in kind
    assert found.tolist() == ["apple", "pear"]
    assert all(type(label) is str for label in found.tolist())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([Level.LOW, Level.HIGH], np.array([3, 7])),
        (np.array([3, 7], dtype=object), np.array([3, 7])),
        (np.array([[3], [7]], dtype=object), np.array([[3], [7]])),
        (np.array([True, False], dtype=object), np.array([True, False])),
        (torch.tensor([3, 7]), np.array([3, 7])),
        (torch.tensor([3.0, 7.0], requires_grad=True), np.array([3, 7], np.float32)),
        (torch.tensor([3.0, 7.0], dtype=torch.bfloat16), np.array([3, 7], np.float32)),
        (pd.array([2**63 + 1, 2**63 + 3], dtype="UInt64"),
         np.array([2**63 + 1, 2**63 + 3], np.uint64)),
    ],
)  # fmt: skip
def test_numbers(values, expected):
    found = as_labels(values, "y")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "a\0"], r"y\[1\]='a\\x00' ends in a NUL character.*rstrip"),
        ([1.0, 2**53 + 1], r"y\[1\]=9007199254740993 is an integer that the floats"),
        ([2**63 + 1, -1], r"y\[0\]=9223372036854775809 is an integer"),
        ([2**64, 2**64 + 1], r"of type int.*write \[str\(label\) for label in y\]"),
        ([decimal.Decimal(1)], "of type Decimal"),
        ([datetime.date(2020, 1, 1)], "of type date"),
        ([b"a", b"b"], r"of type bytes.*\[label.decode\(\) for label in y\]"),
        ([bytearray(b"a")], "of type bytearray"),
        (np.array([b"a"]), "of type bytes"),
        (np.array([(1,)], dtype=[("a", int)]), "of type tuple"),
        ([[1], [1, 2]], "rows of different lengths"),
        (iter([0, 1]), r"got a list_iterator\. Write list\(y\)"),
        ({"a": 0}.values(), r"got a dict_values\. Write list\(y\)"),
        ({0, 1}, "a set, which has no order"),
        (np.ma.array([0, 1], mask=[0, 1]), "missing labels"),
    ],
)
def test_what_numpy_would_change_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        as_labels(values, "y")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0, 1], [True], True),
        ([0, 1], [0.0], True),
        (["a"], np.array(["a"], dtype=object), True),
        (["0"], [0], False),
        (np.array(["2020"], "M8[Y]"), ["2020"], False),
        ([], ["a"], True),
    ],
)
def test_comparable(one, other, expected):
    assert comparable(np.asarray(one), np.asarray(other)) is expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (scipy.sparse.csr_matrix([[1], [0]]), r"y .* sparse matrix of shape \(2, 1\)"),
        (scipy.sparse.coo_array([1, 0]), r"Write y\.toarray\(\)\.ravel\(\)"),
        (torch.tensor([1, 0]).to_sparse(), "y is a tensor of torch.int64"),
        (torch.tensor([1, 0], device="meta"), "on the device 'meta'"),
    ],
)
def test_labels_without_an_array(values, message):
    with pytest.raises(ParameterError, match=message):
        as_labels(values, "y")


@pytest.mark.parametrize(
    "values",
    [
        np.array(["cat", np.nan]),
        pd.Series(["cat", None, np.nan]).astype(object).map(str),
        ["cat", "<NA>"],
        pd.Categorical(["cat", "NaT"]),
    ],
)
def test_text_that_stands_for_what_is_missing(values):
    with pytest.warns(UserWarning, match="y holds the text '(nan|<NA>|NaT)'"):
        as_labels(values, "y")


@pytest.mark.parametrize("values", [["Nan", "nap"], np.array(["none", "na"]), [1.0, 2]])
def test_names_and_numbers_stand_for_themselves(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_labels(values, "y")


def test_intervals_of_pandas_are_told_of_by_row():
    cut = pd.cut(np.array([0.9, 0.1, 0.8]), [0, 0.5, 1])
    with pytest.raises(
        ValueError, match=r"^y\[0\]=Interval\(0.5, 1.0.*for label in y\]"
    ):
        as_labels(cut, "y")


def test_a_category_that_no_row_has_is_no_matter():
    found = as_labels(pd.Categorical(["cat"], categories=[1, "cat"]), "y")
    assert found.tolist() == ["cat"]
