"""Arrays of finite numbers, of whatever they came as."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from modal_pretrain._checks import ParameterError
from modal_pretrain._inputs.numbers import as_numbers


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], np.float64),
        ([True, False], np.float64),
        (np.array([1, 2], dtype=object), np.float64),
        (np.array([1, 2], dtype=">f8"), np.float64),
        (np.array([1, 2], dtype=">f4"), np.float32),
        (np.array([1, 2], dtype=np.float16), np.float32),
        (pd.array([1, 2], dtype="Int64"), np.float64),
        (torch.tensor([1.0, 2.0], requires_grad=True), np.float32),
        (torch.tensor([1.0, 2.0], dtype=torch.bfloat16), np.float32),
    ],
)
def test_kinds_of_numbers(values, dtype):
    found = as_numbers(values, "x")
    assert found.dtype == dtype
    assert found.dtype.isnative
    assert found.tolist() in ([1.0, 2.0], [1.0, 0.0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "2"], "x must be an array of numbers, got one of <U1"),
        ("12", "x must be an array of numbers, got str"),
        (b"12", "x must be an array of numbers, got bytes"),
        ({1, 2}, "x must be an array of numbers, got set"),
        (iter([1, 2]), "x must be an array of numbers, got list_iterator"),
        ([1j], "x must be an array of numbers, got one of complex"),
        (np.array([20_000], dtype="M8[D]"), "got one of datetime64"),
        (np.array([1], dtype="m8[s]"), "got one of timedelta64"),
        ([[1], [1, 2]], "x holds rows of different lengths"),
        (np.ma.array([1, 2], mask=[0, 1]), "x has masked values"),
        ([1, np.nan], r"x\[1\] is NaN, which is not finite\. Leave"),
        ([[1, -np.inf]], r"x\[0, 1\] is -inf, which is not finite\. "),
        ([1, None], r"x\[1\] is NaN"),
        (pd.array([1, None], dtype="Int64"), r"x\[1\] is NaN"),
        ([10**400], "x.*of type int is none that a float can hold"),
        (np.array([1, "a"], dtype=object), r"x\[1\]='a' of type str is none"),
        (np.array([1e300], dtype=np.longdouble) ** 2, r"x\[0\] is inf, which is not"),
    ],
)
def test_what_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        as_numbers(values, "x")


@pytest.mark.parametrize(
    "values",
    [
        torch.eye(2).to_sparse(),
        torch.zeros(2, device="meta"),
    ],
)
def test_tensors_that_are_no_arrays(values):
    with pytest.raises(ParameterError, match=r"x is a tensor of .*dense one that has"):
        as_numbers(values, "x")


def test_sparse_matrices():
    with pytest.raises(ParameterError, match=r"x .* sparse.*x\.toarray\(\)\.ravel\(\)"):
        as_numbers(scipy.sparse.csr_matrix([[1], [2]]), "x")
