"""Arguments at the ends of what numbers hold: a named error, or an answer."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from modAL.models import ActiveLearner
from sklearn.linear_model import LogisticRegression

from modal_pretrain import query
from tests.query.naive import cover_degrees, distances, herding_gains, unit
from tests.query.query_cases import call, pool, seed_set

STRATEGIES_ON_EMBEDDINGS = [
    query.badge_sampling,
    query.clue_sampling,
    query.core_set_sampling,
    query.disambiguation_sampling,
    query.drop_query_sampling,
    query.max_herding_sampling,
    query.prob_cover_sampling,
    query.ranked_batch_sampling,
    query.typiclust_sampling,
    query.uncertainty_herding_sampling,
]
X, y = seed_set(3)
MODEL = LogisticRegression().fit(X, y)


@pytest.mark.parametrize("radius", [5e-324, 1e-30, 1e155, 1.7e308])
@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (query.max_herding_sampling, "sigma"),
        (query.uncertainty_herding_sampling, "sigma"),
        (query.prob_cover_sampling, "delta"),
    ],
)
def test_radius_that_no_square_holds(strategy, name, radius):
    with pytest.raises(ValueError, match=f"{name} must be a .*1e-15"):
        strategy(MODEL, pool(), 3, **{name: radius})
    for least in (1e-15, 1e15):
        scores = strategy(MODEL, pool(), 3, **{name: least})[1]
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("alpha", [5e-324, 1e-12])
def test_share_of_next_to_no_ball(alpha):
    idx, _ = query.prob_cover_sampling(MODEL, pool(), 3, alpha=alpha, random_state=0)
    assert len(idx) == 3


@pytest.mark.parametrize(
    "strategy", [query.clue_sampling, query.uncertainty_herding_sampling]
)
def test_least_temperature(strategy):
    scores = strategy(MODEL, pool(), 3, temperature=5e-324, random_state=0)[1]
    assert np.isfinite(scores).all()


def test_rows_whose_squares_are_zero():
    with pytest.raises(ValueError, match=r"X has no value beyond .*Standardise"):
        query.core_set_sampling(None, pool() * 1e-25, 3)
    assert len(query.core_set_sampling(None, pool() * 0, 3)[0]) == 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("disambiguation_sampling", "shortlist"),
        ("disambiguation_sampling", "cluster_size"),
        ("atypicality_sampling", "n_clusters"),
        ("typiclust_sampling", "max_clusters"),
        ("prob_cover_sampling", "n_classes"),
        ("prob_cover_sampling", "n_reference"),
        ("max_herding_sampling", "n_reference"),
        ("orthogonal_probe_sampling", "C"),
        ("divdis_sampling", "C"),
    ],
)
def test_short_integers(name, argument):
    model = ActiveLearner(LogisticRegression(), X_training=X, y_training=y)
    small, plain = (
        call(name, model, pool(200), 50, random_state=0, **{argument: kind(3)})
        for kind in (np.int8, int)
    )
    assert np.array_equal(small[0], plain[0])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("max_herding_sampling", "sigma", 0.25),
        ("uncertainty_herding_sampling", "sigma", 0.25),
        ("uncertainty_herding_sampling", "temperature", 0.5),
        ("prob_cover_sampling", "delta", 0.25),
        ("prob_cover_sampling", "alpha", 0.75),
        ("clue_sampling", "temperature", 0.5),
        ("drop_query_sampling", "dropout", 0.75),
        ("orthogonal_probe_sampling", "C", 6000.0),
        ("divdis_sampling", "C", 6000.0),
        ("divdis_sampling", "weight", 10.0),
        ("atypicality_sampling", "shortlist", 0.25),
    ],
)
@pytest.mark.parametrize("kind", [np.float16, np.float32, Fraction])
def test_numbers_of_other_types(name, argument, value, kind):
    # NumPy's half precision is contagious, and its largest number is 65,504.
    model = ActiveLearner(LogisticRegression(), X_training=X, y_training=y)
    odd, plain = (
        call(name, model, pool(200), 20, random_state=0, **{argument: number})
        for number in (kind(value), value)
    )
    np.testing.assert_array_equal(odd[0], plain[0])
    np.testing.assert_array_equal(odd[1], plain[1])


def test_levels_beyond_two_clusters():
    # A billion levels took a night; beyond a few, all are of two clusters.
    many, few = (
        query.disambiguation_sampling(MODEL, pool(), 5, random_state=0, n_levels=levels)
        for levels in (10**30, 9)
    )
    np.testing.assert_array_equal(many[0], few[0])


def test_labelled_rows_near_the_origin():
    # Equal rows, centred by a scaler that was fitted on them, are 0 but for rounding.
    seed = np.repeat(pool(1), 4, axis=0) * 0.3
    near = (seed - seed[0]) + 1e-17
    idx, _ = query.core_set_sampling(None, pool(), 3, X_labelled=near)
    again, _ = query.core_set_sampling(None, pool(), 3, X_labelled=near * 0)
    np.testing.assert_array_equal(idx, again)
    with pytest.raises(ValueError, match="X has no value beyond"):
        query.core_set_sampling(None, pool() * 1e-17, 3, X_labelled=near)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_with_a_large_common_part(dtype):
    # Scaled to length 1, they are close together: 0.003 here, on numbers near 0.35.
    X = (pool(300, 8) + 300).astype(dtype)
    rows = unit(X.astype(np.float64))
    apart = distances(rows, rows)
    radius = float(np.median(np.sort(apart, axis=1)[:, 10]))
    chosen, scores = query.max_herding_sampling(None, X, 20, sigma=radius)
    for i, score in enumerate(scores):
        gain = herding_gains(rows, [], radius, np.ones(300), chosen[:i].tolist())
        assert gain[chosen[i]] == pytest.approx(gain.max(), rel=1e-3)
        assert score == pytest.approx(gain.max(), rel=1e-3)
    chosen, _ = query.prob_cover_sampling(None, X, 20, delta=radius)
    for i, row in enumerate(chosen):
        degree = cover_degrees(rows, [], radius, chosen[:i].tolist())
        assert degree[row] >= degree.max() - 1
    two, wide = rows[:2], LogisticRegression().fit(*seed_set(3, d=8))
    scores = query.uncertainty_herding_sampling(wide, X, 5, X_labelled=X[:2])[1]
    same = query.uncertainty_herding_sampling(
        wide, X, 5, X_labelled=X[:2], sigma=float(distances(two, two)[0, 1])
    )[1]
    np.testing.assert_allclose(scores, same, rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("huge", [1e5, 1e6])
def test_one_huge_value_leaves_the_distances_of_other_rows(dtype, huge):
    X = pool(300, 8).astype(dtype)
    X[17, 3] = huge  # drags the mean, which rows are centred on
    chosen, scores = query.max_herding_sampling(None, X, 20, sigma=1, normalize=False)
    for i, score in enumerate(scores):
        gain = herding_gains(X, [], 1, np.ones(300), chosen[:i].tolist())
        assert gain[chosen[i]] == pytest.approx(gain.max(), rel=1e-4)
        assert score == pytest.approx(gain.max(), rel=1e-4)


def test_one_huge_row_leaves_the_clusters_of_other_rows():
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(4), [100, 80, 60, 50])
    X = np.vstack([rng.normal(size=(4, 5))[of] * 20 + rng.normal(size=(290, 5))])
    without, before = query.typiclust_sampling(
        None, X, 4, random_state=1, normalize=False
    )
    X = np.vstack([X, np.full((1, 5), 1e8)])
    chosen, scores = query.typiclust_sampling(
        None, X, 5, random_state=1, normalize=False
    )
    np.testing.assert_array_equal(chosen[:4], without)
    np.testing.assert_allclose(scores[:4], before, rtol=1e-3)


def test_a_value_whose_distances_overflow_is_named_by_its_row():
    X = np.ones((9, 3)) * np.arange(9)[:, None]
    X[[5, 7], 1] = -2e15
    with pytest.raises(ValueError, match="beyond 1e15, first in row 5"):
        query.core_set_sampling(None, X, 2)


@pytest.mark.parametrize("strategy", STRATEGIES_ON_EMBEDDINGS)
@pytest.mark.parametrize("n", [1, 2])
def test_last_rows_of_a_pool_that_is_a_frame(strategy, n):
    left, known = pd.DataFrame(pool()[:n]), pd.DataFrame(X)
    model = LogisticRegression().fit(known, y)
    learner = ActiveLearner(model, strategy, known, y)
    idx, _ = strategy(learner, left, n, random_state=0)
    assert sorted(idx.tolist()) == list(range(n))


@pytest.mark.parametrize(
    "strategy",
    [
        query.max_herding_sampling,
        query.prob_cover_sampling,
        query.typiclust_sampling,
        query.uncertainty_herding_sampling,
    ],
)
def test_normalize_is_true_or_false(strategy):
    """A settings file's "no" is true in Python."""
    with pytest.raises(ValueError, match="normalize must be True or False, got 'no'"):
        strategy(MODEL, pool(), 3, normalize="no")
    for value in (True, False):  # NumPy's, as of an array of settings, are as good
        one, other = (
            strategy(MODEL, pool(), 3, random_state=0, normalize=given)[0]
            for given in (value, np.bool_(value))
        )
        assert one.tolist() == other.tolist()


def test_a_pool_without_an_order_or_with_a_mask():
    with pytest.raises(TypeError, match=r"got a set\. Write list\(X\)"):
        query.random_sampling(None, {"a.png", "b.png"})
    masked = np.ma.masked_greater(np.eye(3), 0.5)
    model = LogisticRegression().fit(np.eye(3), [0, 1, 1])
    for strategy in (query.random_sampling, query.margin_sampling):
        with pytest.raises(TypeError, match="mask would be ignored"):
            strategy(model, masked)
