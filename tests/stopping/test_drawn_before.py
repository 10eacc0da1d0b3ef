"""Audits of rows that a loop drew at random itself."""

import numpy as np
import pytest

from modal_pretrain.stopping import audit_of, draw_audit, wilson

PROBA = np.tile([0.8, 0.2], (100, 1))


def test_the_interval_is_wilsons():
    audit = audit_of(PROBA, [1, 5, 9, 20, 30], classes=["a", "b"], taught=[0, 2])
    found = audit.estimate(["a", "a", "b", "a", "a"]).accuracy
    low, high = wilson(4, 5)[:2]
    assert (found.value, found.low, found.high) == pytest.approx((0.8, low, high))


def test_it_is_a_random_audit_of_these_rows():
    drawn = draw_audit(PROBA, 20, design="random", taught=[3], random_state=0)
    mine = audit_of(PROBA, drawn.rows, taught=[3])
    y = np.arange(20) % 2
    assert mine.estimate(y) == drawn.estimate(y)
    np.testing.assert_array_equal(mine.weights, drawn.weights)


@pytest.mark.parametrize(
    ("rows", "taught", "message"),
    [
        ([], None, "rows is empty"),
        ([1, 2], [2, 3], "rows holds 1 rows that were taught, first 2"),
        ([1, 1], None, "rows has a row twice"),
        ([100], None, "rows must be row numbers from 0 to 99"),
        ([0.5], None, "rows must be row numbers or a mask"),
    ],
)
def test_bad_rows(rows, taught, message):
    with pytest.raises(ValueError, match=message):
        audit_of(PROBA, rows, taught=taught)
