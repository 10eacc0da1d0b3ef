"""Nearest rows of large sets, against all distances in float64."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from modal_pretrain.query._engine import neighbours
from modal_pretrain.query._engine.neighbours import squared_to_nearest
from modal_pretrain.query.typiclust import typicality


def rows_of(kind, n=2600, d=12):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, d)).astype(np.float32)
    if kind == "groups":
        rows += 4 * rng.standard_normal((9, d)).astype("f4")[rng.integers(9, size=n)]
    if kind == "copies":
        rows[::2] = rows[rng.integers(40, size=n)[::2]]
    if kind == "sorted":  # those of a block are near each other, or far
        rows = rows[np.argsort(-np.abs(rows).sum(axis=1))]
    return rows - rows.mean(axis=0)


def brute(rows, q):
    rows = rows.astype(np.float64)
    norm = (rows**2).sum(axis=1)
    squared = norm[:, None] + norm - 2 * rows @ rows.T
    np.fill_diagonal(squared, np.inf)
    return np.sort(squared, axis=1)[:, :q]


@pytest.mark.parametrize("kind", ["plain", "groups", "copies", "sorted"])
@pytest.mark.parametrize("q", [1, 20, 256])
def test_squared_to_nearest(kind, q):
    rows = rows_of(kind)
    found = squared_to_nearest(rows, np.einsum("ij,ij->i", rows, rows), q)
    np.testing.assert_allclose(found, brute(rows, q), rtol=1e-4, atol=1e-4)


def test_every_pair_once():
    # 50,000 rows in one cluster took minutes when each pair was sorted twice.
    products = []

    class Counted(np.ndarray):
        def __matmul__(self, other):
            products.append((len(self), other.shape[1]))
            return np.asarray(self) @ np.asarray(other)

    rows = rows_of("plain")
    norm = np.einsum("ij,ij->i", rows, rows)
    squared_to_nearest(rows.view(Counted), norm, 20)
    n = len(rows)
    assert sum(a * b for a, b in products) < 0.65 * n**2
    assert max(a * b for a, b in products) < 1024**2


def test_threads_make_no_difference():
    rows = rows_of("groups")
    norm = np.einsum("ij,ij->i", rows, rows)
    found = []
    for n_threads in (1, 4):
        with threadpool_limits(n_threads, user_api="blas"):
            found.append(squared_to_nearest(rows, norm, 20))
    np.testing.assert_array_equal(*found)


def test_typicality_of_a_large_cluster(monkeypatch):
    rows = rows_of("groups")
    mean = np.sqrt(np.maximum(brute(rows, 20), 0)).mean(axis=1)
    score = typicality(rows)
    np.testing.assert_allclose(score, 1 / (mean + 1e-5), rtol=1e-5)
    monkeypatch.setattr(
        "modal_pretrain.query.typiclust.near_enough", lambda m, q: False
    )
    np.testing.assert_allclose(typicality(rows), score, rtol=1e-5)
    assert neighbours.near_enough(2049, 256)
    assert not neighbours.near_enough(2049, 257)
