"""k-means by weights."""

import numpy as np
import pytest

from modal_pretrain.query._engine.kmeans import kmeans


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
