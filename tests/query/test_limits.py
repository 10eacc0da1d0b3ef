"""Arguments at the ends of what numbers hold: a named error, or an answer."""

import numpy as np
import pytest
from modAL.models import ActiveLearner
from sklearn.linear_model import LogisticRegression

from modal_pretrain import query
from tests.query.query_cases import call, pool, seed_set

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
    ],
)
def test_short_integers(name, argument):
    model = ActiveLearner(LogisticRegression(), X_training=X, y_training=y)
    small, plain = (
        call(name, model, pool(200), 50, random_state=0, **{argument: kind(3)})
        for kind in (np.int8, int)
    )
    assert np.array_equal(small[0], plain[0])
