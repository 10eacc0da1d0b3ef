"""k-means by weights."""

import numpy as np
import pytest

from modal_pretrain.query._engine.kmeans import closest_rows, kmeans


@pytest.mark.parametrize("scale", [1e-60, 1e60])
def test_weights_that_are_no_float32_count_by_their_ratio(scale):
    # Entropies of sure predictions are as small as that.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4)).astype(np.float32)
    w = rng.random(300)
    found = kmeans(x, 9, np.random.default_rng(1), weights=w * scale)
    expected = kmeans(x, 9, np.random.default_rng(1), weights=w)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.centres, expected.centres, rtol=1e-4, atol=1e-6)


def test_of_two_rows_as_near_the_first_is_taken():
    rng = np.random.default_rng(0)
    pairs = rng.standard_normal((200, 1, 64)) + rng.normal(0, 0.3, (200, 2, 64))
    pairs = pairs.astype(np.float32)
    x, centres = pairs.reshape(400, 64), pairs.mean(axis=1)
    for shift in (0, 1e-7, -1e-7):  # as other blocks of a sum would give
        rows = closest_rows(x + np.float32(shift), centres)
        np.testing.assert_array_equal(rows, np.arange(0, 400, 2))
