"""Odd values, and what an error must be like."""

import enum
import re

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from modal_pretrain import BackboneWeightsError

# Errors of these kinds are answers. Anything else (AttributeError, IndexError, ...)
# is a fault of ours.
ANSWERS = (
    ValueError,
    TypeError,
    ImportError,
    NotImplementedError,
    BackboneWeightsError,
)
# PyTorch's, NumPy's and Python's own words, which say nothing to a user.
BARE = re.compile(
    r"unhashable|not supported between|object is not (callable|iterable|subscriptable)|"
    r"has no attribute|unexpected keyword|without overflow|takes \d+ positional|"
    r"len\(\) of unsized|unsupported operand|cannot be interpreted as an integer"
)

odd_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "a", "auto", "0", "64", "nan", "head ", "cuda:9", "\0"]),
    st.text(max_size=6),
    st.complex_numbers(max_magnitude=9),
    st.binary(max_size=3),
)
odd_values = st.one_of(
    odd_scalars,
    st.lists(odd_scalars, max_size=3),
    st.tuples(odd_scalars, odd_scalars),
    st.sets(st.integers(0, 3), max_size=2),
    st.dictionaries(st.integers(0, 2), odd_scalars, max_size=3),
    st.sampled_from(
        [
            np.array([]),
            np.array(2),
            np.float64("nan"),
            np.int8(-1),
            np.bool_(True),
            pd.NA,
            pd.Series([1, 2]),
        ]
    ),
)


class Word(str, enum.Enum):
    ONE = "one"
    TWO = "two"


labels_of_one_kind = st.one_of(
    st.lists(st.text(max_size=3), max_size=9),
    st.lists(st.sampled_from(Word), max_size=9),
    st.lists(st.integers(-(2**65), 2**65), max_size=9),
    st.lists(st.integers(2**53 - 2, 2**53 + 2) | st.sampled_from([1.0]), max_size=9),
    st.lists(st.booleans(), max_size=9),
    st.lists(st.binary(max_size=2), max_size=9),
    st.lists(st.dates(), max_size=9),
    st.lists(st.decimals(allow_nan=False, places=1), max_size=9),
    st.lists(st.tuples(st.integers(0, 1)), max_size=9),
)
odd_labels = st.one_of(
    labels_of_one_kind,
    st.builds(
        lambda labels, wrap: wrap(labels),
        labels_of_one_kind,
        st.sampled_from([pd.Series, pd.Categorical, pd.Index, iter, tuple]),
    ),
    st.lists(odd_scalars, max_size=9),
)
# Where a function is asked for, ours call it: what it does then is its own affair, so
# that these are tried elsewhere.
callables = st.sampled_from([object, len, str, lambda *args, **kwargs: 0])


def check_error(error, names):
    """An error is an answer if it names what was wrong, in words of ours."""
    text = str(error)
    assert isinstance(error, ANSWERS), f"{type(error).__name__}: {text}"
    assert not BARE.search(text), text
    assert any(name in text for name in names), f"names none of {names}: {text}"
