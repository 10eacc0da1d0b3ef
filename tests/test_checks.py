"""The rules about parameters, by hand."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from modal_pretrain._checks import (
    Made,
    Number,
    OneOf,
    Whole,
    check_parameters,
    did_you_mean,
    height_and_width,
    take_rows,
)

RULES = {
    "epochs": Whole(least=1, also=("auto",)),
    "few": Whole(least=0, most=3),
    "C": Number(above=0),
    "share": Number(least=0, most=1, also=(None,)),
    "tune": OneOf(("head", "all")),
    "verbose": Whole(least=0),
    "optimizer": Made((), "a torch optimizer class", test=callable, also=("auto",)),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 1),
        ("epochs", np.int64(7)),
        ("epochs", "auto"),
        ("few", 0),
        ("few", 3),
        ("C", 1e-300),
        ("C", np.float32(2)),
        ("C", np.float16(2)),
        ("share", None),
        ("share", 0),
        ("share", 1.0),
        ("tune", "all"),
        ("tune", np.str_("all")),
        ("optimizer", dict),
    ],
)
def test_allowed(name, value):
    check_parameters({name: value, "unknown": object()}, RULES)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", 0, "'auto' or a whole number of at least 1, got 0 of type int"),
        ("epochs", True, "got True of type bool"),
        ("epochs", 1.0, "got 1.0 of type float"),
        ("epochs", "3", "got '3' of type str. Write 3 without quotes."),
        ("epochs", "Auto", "Did you mean 'auto'?"),
        ("few", 4, "from 0 to 3, got 4"),
        ("C", 0, "a finite number above 0, got 0"),
        ("C", float("nan"), "got nan"),
        ("C", float("inf"), "got inf"),
        ("C", True, "got True"),
        ("C", -(10**400), "a finite number above 0"),
        ("share", -0.1, "None or a finite number of at least 0 and of at most 1"),
        ("tune", "heads", "'head' or 'all', got 'heads' of type str. Did you mean"),
        ("tune", 1, "got 1"),
        ("tune", np.zeros(2), "got array"),
        ("optimizer", "adam", "a torch optimizer class, got 'adam'"),
    ],
)
def test_refused(name, value, words):
    with pytest.raises(ValueError, match=f"^{name} must be ") as error:
        check_parameters({name: value}, RULES)
    assert words in str(error.value)


def test_did_you_mean():
    assert did_you_mean("backbon", ["backbone", "cache"]) == " Did you mean 'backbone'?"
    assert did_you_mean("xyz", ["backbone"]) == ""


@pytest.mark.parametrize("value", [64, np.int32(64), (64, 64), [64, np.int64(64)]])
def test_size(value):
    assert height_and_width("image_size", value) == (64, 64)


@pytest.mark.parametrize(
    "value",
    [
        *("64", b"64", True, 64.0, 0, -1, {}, ("", b"\x80"), np.ones((2, 2), int)),
        *((64,), (1, 2, 3), (64, 0), (64, "64"), [[1, 2], [3, 4]]),
    ],
    ids=repr,
)
def test_no_size(value):
    with pytest.raises(ValueError, match=r"image_size must be .*pixels"):
        height_and_width("image_size", value)


def test_rows_of_any_kind():
    table = np.arange(6).reshape(3, 2)
    rows = np.array([2, 0])
    frame = take_rows(pd.DataFrame(table, index=[7, 8, 9]), rows)
    assert frame.index.tolist() == [9, 7]
    sparse = take_rows(scipy.sparse.coo_matrix(table), rows)
    assert (sparse.toarray() == table[rows]).all()
    both = take_rows({"a": table, "b": ["x", "y", "z"]}, rows)
    assert (both["a"] == table[rows]).all() and both["b"] == ["z", "x"]
