"""Scores as pure functions: numbers by hand, and what they refuse."""

import numpy as np
import pytest
from scipy.special import softmax

from modal_pretrain import query

TABLES = [query.entropy_score, query.least_confidence_score, query.margin_score]
BLOCKS = [query.bald_score, lambda samples: query.epig_score(samples, samples)]
ROWS = [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize("score", TABLES)
def test_lists_are_tables(score):
    found = score(ROWS)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, score(np.array(ROWS)))
    assert score(np.array(ROWS, np.float32)).dtype == np.float64
    assert found[0] > found[1] == 0


@pytest.mark.parametrize("score", TABLES)
@pytest.mark.parametrize(
    ("proba", "error", "message"),
    [
        ([0.5, 0.5], TypeError, r"proba: shape \(2,\); expected \(n_samples, n_cl"),
        ([["a", "b"]], TypeError, "proba is not one array of numbers"),
        ([[0.5, 0.5], [1.0]], TypeError, "proba is not one array of numbers"),
        ([[0.5, 0.5], [0.5, np.nan]], ValueError, "proba: .* not finite in row 1"),
        ([[np.inf, -np.inf]], ValueError, "proba: .* not finite in row 0"),
        ([[1.5, -0.5]], ValueError, "proba: -0.5; probabilities can't be negative"),
        ([[0.5, 0.5], [3.0, 4.0]], ValueError, "proba: row 1 sums to 7; "),
        (np.empty((2, 0)), ValueError, r"proba: shape \(2, 0\)"),
    ],
)
def test_what_is_no_table_of_probabilities(score, proba, error, message):
    with pytest.raises(error, match=message):
        score(proba)


@pytest.mark.parametrize("score", BLOCKS)
@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (ROWS, ValueError, r"samples has shape \(2, 3\); expected \(n_members"),
        (np.empty((0, 2, 3)), ValueError, "at least one member"),
        ([[["a"]]], TypeError, "samples is not one array of numbers"),
        ([ROWS, np.full((2, 3), np.nan)], ValueError, "samples: .* not finite"),
        ([ROWS, np.ones((2, 3))], ValueError, "samples: row 0 sums to 3"),
    ],
)
def test_what_is_no_block_of_probabilities(score, samples, error, message):
    with pytest.raises(error, match=message):
        score(samples)


def test_targets_by_the_same_members():
    block = np.array([ROWS, ROWS])
    for target in (block[:1], block[:, :, [0]] * 0 + 1, block[:, :0]):
        with pytest.raises(ValueError, match="target has shape"):
            query.epig_score(block, target)
    with pytest.raises(ValueError, match="target: row 0 sums to 2"):
        query.epig_score(block, block * 2)


def test_one_class_is_certain():
    assert [score([[1.0]]).tolist() for score in TABLES] == [[0.0]] * 3


def test_epig_of_half_precision_ranks_as_that_of_double():
    rng = np.random.default_rng(0)
    heads = rng.normal(size=(1, 8, 3)) + 0.1 * rng.normal(size=(5, 8, 3))
    logits = np.einsum("nd,kdc->knc", 0.6 * rng.normal(size=(400, 8)), heads)
    samples = softmax(logits, axis=2)
    half = samples.astype(np.float16)  # whose rows sum to 1 but for some 1e-4
    exact = query.epig_score(samples, samples[:, :100])
    found = query.epig_score(half, half[:, :100])
    np.testing.assert_allclose(found, exact, atol=0.02 * exact.max())
