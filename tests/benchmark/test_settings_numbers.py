"""Numbers, arrays and tensors as settings: equal ones share a folder, others do not."""

import numpy as np
import pytest
import torch


@pytest.mark.parametrize(
    "value, plain",
    [
        (np.int64(64), 64),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([64, 96]), [64, 96]),
    ],
)
def test_numbers_of_numpy_are_those_of_python(small, value, plain):
    """A loop over `np.arange` goes on in the folder that `64` began."""
    config = small(estimator_params={"image_size": value})
    assert config.digest() == small(estimator_params={"image_size": plain}).digest()
    assert config.kept()["estimator_params"]["image_size"] == plain


def test_a_number_that_python_has_not_is_told_by_its_digits(small):
    """What `tolist` gives of these is no number of Python's."""
    one, other = (
        small(estimator_params={"image_size": np.longdouble(value)}).digest()
        for value in (0.5, 0.25)
    )
    assert one != other


@pytest.mark.parametrize(
    "one, other",
    [
        (torch.tensor([0.12345, 1.0]), torch.tensor([0.12349, 1.0])),
        (np.array([0.123456781]), np.array([0.123456782])),
        (np.zeros(2000), np.eye(1, 2000, 1000)[0]),
    ],
)
def test_arrays_that_print_alike_are_not_the_same(small, one, other):
    configs = [
        small(estimator_params={"tune": "all", "criterion__weight": value})
        for value in (one, other)
    ]
    assert str(one) == str(other)
    assert configs[0].digest() != configs[1].digest()
