"""Tags: what they may be, which mislead, what balancing makes of them."""

import warnings
from collections import deque

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from modal_pretrain.reweighting import tag_weights
from modal_pretrain.reweighting.tags import (
    balanced,
    cells,
    is_confounded,
    tag_codes,
    tag_table,
)

NAN = float("nan")


@pytest.mark.parametrize(
    "ignore, expected",
    [
        (["b", None, "a", "b"], [[1], [-1], [0], [1]]),
        ([3, NAN, None, -1], [[1], [-1], [-1], [0]]),
        (np.array([3, NAN, 7, 3]), [[0], [-1], [1], [0]]),
        ([True, False, None, True], [[1], [0], [-1], [1]]),
        (pd.Series(["b", pd.NA, "a", "b"], dtype="string"), [[1], [-1], [0], [1]]),
        (pd.Series(["b", None, "a", "b"], dtype="category"), [[1], [-1], [0], [1]]),
        (pd.Series([5, None, 5, 4], dtype="Int64"), [[1], [-1], [1], [0]]),
        ([None] * 4, [[-1]] * 4),
        (
            [["a", 1], ["b", None], [None, 2], ["a", 1]],
            [[0, 0], [1, -1], [-1, 1], [0, 0]],
        ),
        (
            pd.DataFrame({"place": ["a", "b", None, "a"], "n": [1, NAN, 2, 1]}),
            [[0, 0], [1, -1], [-1, 1], [0, 0]],
        ),
        (np.empty((4, 0)), np.empty((4, 0))),
        (deque(["b", None, "a", "b"]), [[1], [-1], [0], [1]]),
        # Integers that floats, and so NaN's neighbours in a table, would round.
        ([2**53, None, 2**53 + 1, 2**53], [[0], [-1], [1], [0]]),
        ([10**18, None, 10**18 + 1, 10**18], [[0], [-1], [1], [0]]),
    ],
    ids=str,
)
def test_kinds_of_tags(ignore, expected):
    np.testing.assert_array_equal(tag_codes(tag_table(ignore, 4)), expected)


def test_tags_that_are_one_but_for_their_spelling_are_warned_of():
    table = tag_table([["land", "x"], ["Land ", "X"], ["sea", None]], 3)
    said = r"ignore has the tags 'land' and 'Land ' in column 0, which count as two"
    with pytest.warns(UserWarning, match=said) as caught:
        codes = tag_codes(table)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert len(np.unique(codes[:, 0])) == 3
    tag_codes(tag_table(["a", "A", "", "land"], 4))  # single letters may be two


@pytest.mark.parametrize(
    "ignore, message",
    [
        (["a"] * 3, r"ignore has 3 rows of tags for 4 rows of X.*classifier\.tag\(X"),
        ([], "ignore has 0 rows"),
        (b"abcd", "ignore must be a list or an array"),
        ([["a"], ["a", "b"], ["a"], ["a"]], "ignore has rows of 1 and of 2 tags"),
        (np.zeros((4, 1, 1)), r"ignore must have shape \(n,\) or \(n, k\)"),
        (
            ["a", 1, None, None],
            "kinds of tags in column 0: 'a' is a string, 1 is",
        ),
        ([True, 2, 3, 4], "mixes kinds of tags"),
        ([["a", 1], ["b", "c"], ["a", 2], ["a", 3]], "kinds of tags in column 1"),
        ([0.5, 1, 2, 3], "mixes kinds|has the tag 0.5"),
        ([0.5] * 4, "has the tag 0.5 of type float in column 0; tags are strings"),
        ([b"a"] * 4, "has the tag b'a' of type bytes"),
        ([Ellipsis] * 4, "has the tag .* of type ellipsis"),
        ("abcd", "ignore must be a list or an array"),
        ({"a": 1}, "ignore must be a list or an array"),
        (3, "ignore must be a list or an array"),
    ],
    ids=str,
)
def test_bad_tags(ignore, message):
    with pytest.raises(ValueError, match=message):
        tag_table(ignore, 4)


Y = np.repeat([0, 1], 20)
MISLEADING = np.where(np.arange(40) % 10 == 0, 1 - Y, Y)


@pytest.mark.parametrize(
    "codes, confounded",
    [
        (MISLEADING, True),
        (np.where(np.arange(40) % 2, -1, MISLEADING), True),
        (np.full(40, -1), False),
        (np.zeros(40), False),  # constant
        (Y, False),  # the class itself
        (2 * Y + np.arange(40) % 2, False),  # nested in the class
        (np.arange(40), False),  # another one for each row
        (np.arange(40) % 2, False),  # unrelated
        (np.where(np.arange(40) < 3, MISLEADING, -1), False),  # one class alone
    ],
    ids=range(9),
)
def test_what_misleads(codes, confounded):
    assert is_confounded(np.asarray(codes, dtype=np.int64), Y) == confounded


def test_balanced_by_hand():
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    tags = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    # Two classes of mass 4: tags of class 0 have 2 each; of class 1 one tag has the
    # half of it that is tagged.
    expected = [2 / 3, 2 / 3, 2 / 3, 2, 1, 1, 1, 1]
    np.testing.assert_allclose(balanced(tags, y, np.ones(8)), expected)
    weight = np.array([1, 1, 2, 5, 1, 3, 1, 2.0])
    got = balanced(tags, y, weight)
    assert got.sum() == pytest.approx(16)
    np.testing.assert_allclose(got[:4], [1, 1, 2, 4])
    np.testing.assert_allclose(got[4:], [1, 3, 4 / 3, 8 / 3])


def test_cells():
    y, tags = np.array([1, 0, 1, 1, 0]), np.array([2, 2, 2, -1, 0])
    assert cells(tags, y).tolist() == [3, 1, 3, 2, 0]


@pytest.mark.parametrize(
    "values", [["b", "x", "a"], [3, 5, 2], [3.0, 5.0, 2.0], [True, False, False]]
)
@pytest.mark.parametrize("dtype", [None, object])
def test_what_is_masked_was_not_said(values, dtype):
    tags = np.ma.array(np.array(values, dtype=dtype), mask=[False, True, False])
    assert tag_table(tags, 3)[:, 0].tolist() == [values[0], None, values[2]]


@pytest.mark.parametrize("odd", [[0.5, 0], [0, 1j], [1, b"a"]])
def test_the_tag_that_is_none_is_named(odd):
    with pytest.raises(ValueError, match=r"ignore has the tag .* of type"):
        tag_table(odd, 2)


def test_sparse_tags():
    with pytest.raises(ValueError, match="ignore must be a list or an array"):
        tag_table(csr_matrix([[1], [0]]), 2)


def test_a_class_with_more_tags_has_no_more_mass():
    """What docs/exceptions.md says: classes weigh alike, and in each its tags."""
    y = np.repeat(["a", "b", "c"], 20)
    codes = np.where((y == "a") & (np.arange(60) < 3), 0, 1)  # only "a" has both
    weight = balanced(codes, y, np.ones(60))
    for cell, mass in (((y == "a") & (codes == 0), 10), ((y == "b"), 20)):
        np.testing.assert_allclose(weight[cell].sum(), mass)


def test_a_nan_that_numpy_wrote_as_text_is_warned_of():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 30)
    X = rng.normal(size=(60, 3)) + y[:, None]
    tags = ["land", "water", np.nan] * 20
    with pytest.warns(UserWarning, match="ignore holds the text 'nan'"):
        tag_weights(X, y, np.array(tags))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tag_weights(X, y, np.array(tags, dtype=object))
