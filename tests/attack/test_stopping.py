"""Odd labels, rows and histories: never a decision that rests on nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_pretrain import stopping
from tests.attack.cases import check_error, odd_values

PROBA = np.random.default_rng(0).dirichlet([1, 1], size=30)
AUDIT = stopping.draw_audit(PROBA, 8, random_state=0)
labels = st.one_of(
    odd_values,
    st.lists(st.sampled_from([0, 1, "0", None, float("nan"), 2]), max_size=9),
)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda y: AUDIT.estimate(y), ["y "]),
        (lambda y: AUDIT.mean(y), ["values"]),
        (lambda y: stopping.stable_predictions([y] * 4), ["history"]),
        (lambda y: stopping.stable_error([y] * 4), ["history"]),
        (lambda y: stopping.good_enough(y, 0.9), ["result"]),
        (lambda y: stopping.forecast_labels(y, [], 0.9), ["labels"]),
        (lambda y: stopping.worst_part(AUDIT, [0] * 8, y), ["embeddings"]),
        (lambda y: stopping.draw_audit(PROBA, 3, taught=y), ["taught", "budget"]),
        (lambda y: stopping.audit_of(PROBA, y), ["rows"]),
    ],
    ids=["y", "mean", "stable", "error", "good", "forecast", "worst", "taught", "of"],
)
@given(value=labels)
def test_any_value(call, names, value):
    try:
        call(value)
    except Exception as error:
        check_error(error, names)


@given(hits=odd_values, n=odd_values)
def test_any_interval(hits, n):
    try:
        low, high = stopping.wilson(hits, n)
    except Exception as error:
        check_error(error, ["hits", "n "])
    else:
        assert 0 <= low <= hits / n + 1e-6 and hits / n - 1e-6 <= high <= 1
