"""Nearest centres, coverage and k-means."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from modal_pretrain.query._engine.coverage import Ball, Coverage, Gaussian
from modal_pretrain.query._engine.kmeans import closest_rows, kmeans, lloyd
from modal_pretrain.query._engine.nearest import Euclidean, Gradient, LazyNearest
from modal_pretrain.query._engine.pool import Rows
from modal_pretrain.query.prob_cover import nearest_other
from tests.query.naive import distances
from tests.query.query_cases import pool


def eager(space, k, priority):
    """Do what LazyNearest does, with all distances in float64 at every step."""
    everything = space.points(np.arange(len(space)))
    chosen = [0]
    while len(chosen) < k:
        gap = space.between(everything, space.points(np.array(chosen))).min(axis=1)
        values, near = priority(gap), priority(gap * (1 + 1e-7))
        values[chosen] = near[chosen] = -np.inf
        # Equal rows may round differently; the first of them counts.
        chosen.append(int(np.argmax(near >= values.max())))
    return chosen


def lazy(space, k, priority):
    nearest = LazyNearest(space)
    chosen = [0]
    nearest.add(0)
    while len(chosen) < k:
        row, value, gap = nearest.best(priority)
        assert value == priority(np.full(len(space), gap))[row]
        nearest.add(row)
        chosen.append(row)
    return chosen


def hard_cases():
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((400, 20))
    tight = np.repeat(rng.standard_normal((4, 20)) * 50, 100, axis=0)
    return {
        "spread": spread,
        "tight clusters": tight + 1e-3 * rng.standard_normal(tight.shape),
        "far from the origin": spread + 1e4,
        "scales": spread * 10.0 ** rng.uniform(-4, 4, size=(400, 1)),
        "lattice": rng.integers(4, size=(400, 20)).astype(float),
        "duplicates": np.repeat(spread[:40], 10, axis=0),
        "a line": np.outer(np.arange(400) / 512, np.ones(20)),
        "tiny": spread * 1e-12,
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", hard_cases())
def test_lazy_is_eager(kind, dtype):
    X = hard_cases()[kind].astype(dtype)
    order = np.random.default_rng(2).permutation(len(X))
    weight = np.random.default_rng(1).exponential(size=len(X))
    spaces = {
        "euclidean": Euclidean(Rows(X, order, "centred")),
        "gradient": Gradient(
            Rows(X, order, "raw"), np.random.default_rng(3).standard_normal((400, 3))
        ),
    }
    for name, space in spaces.items():
        for priority in (np.copy, lambda gap: gap * weight):
            assert lazy(space, 60, priority) == eager(space, 60, priority), name


def test_lazy_does_little():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, 64)).astype(np.float32)
    space = Euclidean(Rows(X, np.arange(5000), "centred"))
    settled = []
    plain = space.points
    space.points = lambda index: settled.append(len(index)) or plain(index)
    lazy(space, 100, np.copy)
    assert sum(settled) < 0.05 * 100 * 5000


@pytest.mark.parametrize("space", [Euclidean, Gradient])
def test_equal_rows_are_at_distance_zero(space):
    x = np.random.default_rng(0).standard_normal((3, 50)) * 1e3
    rows = Rows(np.vstack([x, x]), np.arange(6), "raw")
    args = () if space is Euclidean else (np.tile(x[:, :4], (2, 1)),)
    points = space(rows, *args).points(np.arange(6))
    gap = space(rows, *args).between(points, points)
    assert (np.diag(gap[:3, 3:]) == 0).all()
    assert (gap[~np.eye(6, dtype=bool)].reshape(-1) >= 0).all()


def test_gradient_distances_near_and_far():
    rng = np.random.default_rng(0)
    x, a = rng.standard_normal((8, 5)), rng.standard_normal((8, 3))
    x[4:], a[4:] = x[:4] + 1e-7, a[:4] - 1e-7
    space = Gradient(Rows(x, np.arange(8), "raw"), a)
    points = space.points(np.arange(8))
    outer = np.einsum("nc,nd->ncd", a, x).reshape(8, -1)
    expected = distances(outer, outer) ** 2
    np.testing.assert_allclose(
        space.between(points, points), expected, rtol=1e-6, atol=1e-22
    )


@pytest.mark.parametrize("kernel", ["gaussian", "ball"])
@pytest.mark.parametrize("m", [300, 120])
@pytest.mark.parametrize("n_base", [0, 5])
def test_coverage_gains(kernel, m, n_base):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4)).astype(np.float32)
    base = rng.standard_normal((n_base, 4)).astype(np.float32)
    w = rng.random(m)
    w[::7] = 0
    k = Gaussian(1.5) if kernel == "gaussian" else Ball(1.5)
    coverage = Coverage(x, k, m, w, base)

    def similar(gap):
        return np.exp(-((gap / 1.5) ** 2)) if kernel == "gaussian" else gap < 1.5

    table = similar(distances(x, x[:m])).astype(float)
    best = similar(distances(x[:m], base)).max(axis=1, initial=0).astype(float)
    chosen = []
    for _ in range(40):
        row, gain = coverage.best()
        gains = (w * np.maximum(table - best, 0)).sum(axis=1)
        gains[chosen] = -1
        assert gain == pytest.approx(gains[row], rel=1e-4, abs=1e-4)
        assert gains[row] == pytest.approx(gains.max(), rel=1e-4, abs=1e-4)
        coverage.add(row)
        chosen.append(row)
        best = np.maximum(best, table[row])


def test_nearest_other():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3)).astype(np.float32)
    labels = rng.integers(4, size=200)
    gap = distances(x, x)
    gap[labels[:, None] == labels] = np.inf
    for q in (200, 70):
        found = nearest_other(x, labels, q)
        np.testing.assert_allclose(found, gap[:q].min(axis=1), rtol=1e-4)
    assert np.isinf(nearest_other(x, np.zeros(200, dtype=int), 200)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_lloyd_is_that_of_scikit_learn(weighted):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 8)).astype(np.float32)
    x -= x.mean(axis=0)
    w = rng.random(500) if weighted else np.ones(500)
    start = x[:9].copy()
    ours = lloyd(x, start, w, 300)
    theirs = KMeans(9, init=start, n_init=1, tol=0, max_iter=300).fit(
        x, sample_weight=w
    )
    np.testing.assert_array_equal(ours.labels, theirs.labels_)
    np.testing.assert_allclose(ours.centres, theirs.cluster_centers_, atol=1e-5)
    gap = distances(x, ours.centres).min(axis=1) ** 2
    np.testing.assert_allclose(ours.distance, gap, rtol=1e-4, atol=1e-5)


def test_kmeans_is_about_as_good_as_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((30, 16))
    x = centres[rng.integers(30, size=8000)] + 0.5 * rng.standard_normal((8000, 16))
    x = x.astype(np.float32)
    ours = np.mean(
        [kmeans(x, 40, np.random.default_rng(s)).distance.sum() for s in range(3)]
    )
    theirs = np.mean(
        [KMeans(40, n_init=1, random_state=s).fit(x).inertia_ for s in range(3)]
    )
    assert ours < 1.03 * theirs


def test_kmeans_repeats_itself_and_survives_duplicates():
    x = np.repeat(pool(5), 30, axis=0).astype(np.float32)
    for k in (3, 5, 20, len(x)):
        first = kmeans(x, k, np.random.default_rng(0))
        again = kmeans(x, k, np.random.default_rng(0))
        np.testing.assert_array_equal(first.labels, again.labels)
        assert np.isfinite(first.centres).all()
    assert len(np.unique(kmeans(x, 5, np.random.default_rng(0)).labels)) == 5


def test_kmeans_ignores_rows_without_weight():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3)).astype(np.float32)
    x[100:] += 100
    w = np.ones(200)
    w[100:] = 0
    assert np.abs(kmeans(x, 4, rng, weights=w).centres).max() < 10


def test_closest_rows_are_distinct():
    x = pool(50).astype(np.float32)
    rows = closest_rows(x, np.repeat(x[:2], 5, axis=0))
    assert len(set(rows.tolist())) == 10
    gap = distances(x[:1], x)[0]
    assert set(rows[:5]) == set(np.argsort(gap)[:5])


@pytest.mark.parametrize("form", ["raw", "centred", "unit"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_do_not_depend_on_the_layout(form, dtype):
    X = pool(50).astype(dtype)
    order = np.argsort(X[:, 0])
    rows = Rows(X, order, form)
    for moved in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        other = Rows(moved, order, form)
        assert other.fast.flags.c_contiguous
        np.testing.assert_array_equal(other.fast, rows.fast)
        np.testing.assert_array_equal(other.exact(order), rows.exact(order))
