"""Disambiguation-aware strategies against rankings computed by hand."""

import inspect

import numpy as np
import pytest
from modAL.models import ActiveLearner
from sklearn.linear_model import LogisticRegression

from modal_pretrain.query._engine.classifier import one_hot
from modal_pretrain.query._engine.coordinates import farthest_first
from modal_pretrain.query._engine.surroundings import (
    AtOdds,
    Surroundings,
    at_odds,
    cluster_mean,
    surroundings,
)
from modal_pretrain.query.atypicality import atypicality_sampling, rank_share
from modal_pretrain.query.disambiguation import (
    AtOddsExpert,
    SpreadExpert,
    disambiguation_sampling,
)
from modal_pretrain.query.early_late import (
    divergence,
    early_head,
    early_late_sampling,
)
from modal_pretrain.query.probes import (
    divdis_sampling,
    mutual_information,
    orthogonal_probe_sampling,
)
from modal_pretrain.query.pseudo_groups import balance, pseudo_group_sampling

AWARE = [
    atypicality_sampling,
    disambiguation_sampling,
    divdis_sampling,
    early_late_sampling,
    orthogonal_probe_sampling,
    pseudo_group_sampling,
]


class Fixed:
    """Predicts from a table that maps the first feature to probabilities."""

    classes_ = np.array([0, 1])

    def __init__(self, table):
        self.table = table

    def predict_proba(self, X):
        p = np.array([self.table[float(x)] for x in np.asarray(X)[:, 0]])
        return np.column_stack([1 - p, p])


def composite(n=400, seed=0):
    """Class on feature 0, attribute on feature 1; 5 % of rows mismatch."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    a = np.where(rng.random(n) < 0.05, 1 - y, y)
    X = rng.normal(0, 0.4, (n, 8))
    X[:, 0] += 2 * y - 1
    X[:, 1] += 2 * (2 * a - 1)
    return X, y, a


def test_at_odds_by_hand():
    proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.3, 0.7]])
    mean = cluster_mean(proba, np.array([0, 0, 0, 1, 1]))
    np.testing.assert_allclose(mean[[0, 3]], [[0.7, 0.3], [0.2, 0.8]])
    found = at_odds(proba, mean)
    np.testing.assert_allclose(found.score, [-0.2, -0.1, 0.3, -0.1, 0.1])
    assert found.dominant.tolist() == [0, 0, 0, 1, 1]
    assert found.leaning.tolist() == [1, 1, 1, 0, 0]
    assert (at_odds(np.ones((3, 1)), np.ones((3, 1))).score == 0).all()


def test_at_odds_takes_the_other_classes_apart():
    proba = np.array([[0.6, 0.4, 0.0], [0.6, 0.2, 0.2]])
    # Mean (0.6, 0.3, 0.1): class 1 is 0.1 above it in row 0, class 2 in row 1.
    found = at_odds(proba, cluster_mean(proba, np.zeros(2, int)))
    np.testing.assert_allclose(found.score, [0.1, 0.1])
    assert found.leaning.tolist() == [1, 2]


def test_rank_share():
    np.testing.assert_allclose(
        rank_share(np.array([3.0, 1.0, 3.0 + 1e-15])), [2.5 / 3, 1 / 3, 2.5 / 3]
    )


def test_farthest_first_by_hand():
    x = np.array([[0.0], [2.0], [7.0], [10.0]], dtype=np.float32)
    every = np.arange(4)
    none = np.empty((0, 1), np.float32)
    assert farthest_first(x, every, none, 4).tolist() == [0, 3, 2, 1]
    assert farthest_first(x, every, np.array([[10.0]], np.float32), 2).tolist() == [
        0,
        2,
    ]


def test_farthest_first_prefers_the_better_of_equals():
    x = np.array([[-1.0], [1.0]], dtype=np.float32)
    base = np.zeros((1, 1), np.float32)
    assert farthest_first(x, np.array([1, 0]), base, 1).tolist() == [1]
    assert farthest_first(x, np.array([0, 1]), base, 1).tolist() == [0]


def test_surroundings_by_hand():
    # Two tight groups of two: with a cluster size of 1 there are 4, 2 and again 2.
    x = np.array([[0.0], [0.1], [9.0], [9.1]], dtype=np.float32)
    proba = np.array([[1.0, 0.0], [0.6, 0.4], [0.2, 0.8], [0.0, 1.0]])
    base = np.array([[0.02], [9.4]], dtype=np.float32)
    rng = np.random.default_rng(0)
    found = surroundings(x, base, proba, 1, 3, rng)
    # Row 0: its own probabilities, and those of rows 0 and 1.
    np.testing.assert_allclose(found.mean[:, 0], [0.9, 0.7, 0.15, 0.05])
    np.testing.assert_allclose(found.mean_labelled[:, 0], [0.9, 0.05])
    fine, coarse = found.clusters
    assert len(set(fine)) == 4 and len(set(coarse)) == 2
    assert found.known().tolist() == [1.0, 0.5, 0.5, 1.0]


def test_spread_expert_by_hand():
    x = np.array([[0.0], [1.0], [5.0], [6.0]], dtype=np.float32)
    free = np.ones(4, dtype=bool)
    # 6 is farthest from 0 and 1. Then 5 and 1 are 1 from a chosen row, and 0, the first
    # of the candidates, is 0 from one.
    expert = SpreadExpert(x[::-1], np.arange(4)[::-1], x[:2])
    assert expert.best(free) == (3, 25.0)
    expert.add(x[3])
    free[3] = False
    assert expert.best(free) == (2, 1.0)


def at_odds_expert(score, cluster, known, labels=None, leaning=None, dominant=None):
    n = len(score)
    zero = np.zeros(n, dtype=int)
    odds = AtOdds(
        np.array(score, dtype=float),
        zero + 1 if leaning is None else np.array(leaning),
        zero if dominant is None else np.array(dominant),
    )
    labels = np.zeros((0, 2)) if labels is None else np.array(labels, dtype=float)
    around = Surroundings(
        np.full((n, 2), 0.5),
        np.tile([1.0, 0.0], (len(labels), 1)),
        [np.array(cluster)],
        [np.array(known, dtype=float)],
    )
    return AtOddsExpert(odds, around, labels)


def test_known_clusters_are_asked_less():
    free = np.ones(4, dtype=bool)
    score, cluster = [0.8, 0.5, 0.7, -0.1], [0, 0, 1, 1]
    # Cluster 0 has a label: 0.8 / 2 is less than 0.7.
    assert at_odds_expert(score, cluster, [1, 0]).best(free) == (2, 0.7)
    expert = at_odds_expert(score, cluster, [0, 0])
    assert expert.best(free) == (0, 0.8)
    # What this batch chose counts like a label: 0.5 / 2 < 0.7.
    expert.add(0, np.array([1.0, 0.0]))
    free[0] = False
    assert expert.best(free) == (2, 0.7)
    # Below 0 many labels push a row down, not up.
    low = at_odds_expert([-0.1, -0.5, -0.7, -0.3], cluster, [9, 0])
    assert low.best(np.ones(4, dtype=bool)) == (3, -0.3)


def test_known_kinds_of_exception_are_asked_less():
    # Rows 0 and 1 lean to class 1 where 0 dominates, row 2 the other way round. Three
    # labels of the first kind are known: 0.8 / sqrt(4) < 0.5.
    kinds = {"leaning": [1, 1, 0], "dominant": [0, 0, 1]}
    labels = [[0, 1], [0, 1], [0, 1], [1, 0]]
    free = np.ones(3, dtype=bool)
    expert = at_odds_expert([0.8, 0.6, 0.5], [0, 0, 0], [0], labels, **kinds)
    assert expert.best(free) == (2, 0.5)
    assert at_odds_expert([0.8, 0.6, 0.5], [0, 0, 0], [0], **kinds).best(free) == (
        0,
        0.8,
    )


def test_several_levels_count_together():
    odds = AtOdds(np.array([0.6, 0.5]), np.ones(2, int), np.zeros(2, int))
    fine, coarse = np.array([0, 1]), np.array([0, 0])
    counts = [np.array([2.0, 0.0]), np.array([2.0])]
    around = Surroundings(np.eye(2), np.eye(2)[:0], [fine, coarse], counts)
    # Row 0: 0.6 over 1 + (2 + 2) / 2; row 1: 0.5 over 1 + (0 + 2) / 2.
    row, score = AtOddsExpert(odds, around, np.zeros((0, 2))).best(np.ones(2, bool))
    assert (row, score) == (1, 0.25)


def test_labels_in_the_order_of_the_classes():
    model = LogisticRegression().fit([[0.0], [1.0]], ["b", "a"])
    assert one_hot(model, ["b", "a", "c"], 2).tolist() == [[0, 1], [1, 0], [0, 0]]
    learner = ActiveLearner(model, X_training=np.eye(2), y_training=["a", "b"])
    assert one_hot(learner, ["a"], 2).tolist() == [[1, 0]]
    assert one_hot(learner, [["a"], ["b"]], 2).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ValueError, match=r"y_labelled holds \[0, 1\], none of which"):
        one_hot(learner, [0, 1], 2)
    assert one_hot(model, None, 2).shape == (0, 2)
    assert one_hot(Fixed({}), [0], 3).shape == (0, 3)


def test_disambiguation_by_hand():
    table = {-2.0: 0.1, -1.0: 0.4, 1.0: 0.55, 2.0: 0.9}
    X = np.array([[-2.0], [-1.0], [1.0], [2.0]])

    def first(labelled, **kwargs):
        known = np.array([[labelled], [labelled]])  # two: it is the first one's turn
        idx, _ = disambiguation_sampling(
            Fixed(table), X, X_labelled=known, random_state=0, **kwargs
        )
        return idx.tolist()

    # Batches of one: the most uncertain row, wherever the labelled ones are.
    assert first(1.5) == first(-1.5) == [2]
    # Of the two most uncertain ones, the farther one.
    assert first(1.5, shortlist=2) == [1]
    assert first(-1.5, shortlist=2) == [2]
    # Of all four.
    assert first(1.5, shortlist=9) == [0]


def test_uncertain_rows_of_a_batch_are_spread():
    # The four most uncertain rows are three in a heap and one apart.
    X = np.array([[0.0], [0.01], [0.02], [5.0], [9.0], [9.1]])
    table = {0.0: 0.5, 0.01: 0.5, 0.02: 0.5, 5.0: 0.45, 9.0: 0.1, 9.1: 0.8}
    known = np.array([[9.0], [9.0]])
    idx, _ = disambiguation_sampling(
        Fixed(table), X, 4, X_labelled=known, random_state=0
    )
    first, second = idx[::2]  # the turns of the first expert
    assert (first, second) == (0, 3)


def test_at_odds_finds_a_confident_exception():
    # Two tight clusters of one class each; one row of the first is surely of the other.
    X = np.r_[np.arange(20) * 0.01, 10 + np.arange(20) * 0.01][:, None]
    table = {float(x): 0.01 if x < 5 else 0.99 for x in X[:, 0]}
    table[float(X[7, 0])] = 0.97
    idx, scores = disambiguation_sampling(
        Fixed(table), X, X_labelled=np.array([[0.0]]), random_state=0
    )
    assert idx.tolist() == [7]
    # Over 2, as its cluster has a label.
    assert 0.9 < scores[0] * 2 < 0.92


def test_batches_of_one_take_turns_like_one_batch():
    X, y, _ = composite(120)
    learner = ActiveLearner(LogisticRegression(), X_training=X[:10], y_training=y[:10])
    batch, _ = disambiguation_sampling(learner, X[10:], 2, random_state=0)
    odd, _ = disambiguation_sampling(
        learner.estimator, X[10:], X_labelled=X[:9], random_state=0
    )
    assert batch[1] == odd[0]


def test_exceptions_are_found():
    X, y, a = composite()
    model = LogisticRegression().fit(X[:20], y[:20])
    idx, _ = disambiguation_sampling(
        model, X[20:], 20, X_labelled=X[:20], random_state=0
    )
    pool = y[20:] != a[20:]
    assert pool[idx].mean() > 2 * pool.mean()


def test_early_head_by_hand():
    base, codes = np.array([[2.0], [-2.0]]), np.array([1, 0])
    weights, bias = early_head(base, codes, 1)
    # Slope: mean of x (1/2 - target) = (1, -1); curvature: 4 / 2.
    np.testing.assert_allclose(weights, [[-0.5, 0.5]])
    np.testing.assert_allclose(bias, 0, atol=1e-12)


def test_divergence_by_hand():
    p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    np.testing.assert_allclose(divergence(p, q), 0.5 * np.log(2) + 0.5 * np.log(2 / 3))


def test_mutual_information_by_hand_and_its_gradient():
    p = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    q = p[[0, 2, 1, 3]]
    assert abs(mutual_information(p, q)[0]) < 1e-9
    np.testing.assert_allclose(mutual_information(p, p)[0], np.log(2), atol=1e-9)
    rng = np.random.default_rng(0)
    p, q, step = (rng.dirichlet(np.ones(3), 6) for _ in range(3))
    step -= 1 / 3  # rows that sum to 0 stay probabilities
    value, (slope, _) = mutual_information(p, q)
    moved = mutual_information(p + 1e-6 * step, q)[0]
    np.testing.assert_allclose((moved - value) / 1e-6, (slope * step).sum(), rtol=1e-3)


def test_divdis_asks_about_mismatches():
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], (200, 2)) + rng.normal(0, 0.1, (200, 2))
    seed, y = np.array([[1.0, 1.0], [-1.0, -1.0]]), np.array([1, 0])
    model = LogisticRegression().fit(seed, y)
    idx, scores = divdis_sampling(
        model, X, 10, random_state=0, X_labelled=seed, y_labelled=y
    )
    assert (X[idx].prod(axis=1) < 0).all()
    assert (np.diff(scores) <= 0).all()


def test_balance_by_hand():
    proba = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
    attribute = np.array([0, 0, 1, 1])
    count = np.array([[4.0, 0.0], [1.0, 4.0]])
    # Class 0 of attribute 1 lacks most: row 2; it counts 0.3 there. Then 0.3 is still
    # the least: row 3, after which (1, 0) with 1.0 is not, as (0, 1) has 0.5 but no
    # row left.
    chosen, scores = balance(proba, attribute, count, 3)
    assert chosen == [2, 3, 1]
    np.testing.assert_allclose(scores, [0.3, 0.2, 0.4])


@pytest.mark.parametrize("strategy", AWARE, ids=lambda f: f.__name__)
def test_numbers_are_checked(strategy):
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    X = np.array([[0.2], [0.4], [0.9]])
    for name, parameter in inspect.signature(strategy).parameters.items():
        if isinstance(parameter.default, (int, float)) and name != "n_instances":
            with pytest.raises(ValueError, match=name):
                strategy(model, X, **{name: -1})
            with pytest.raises(TypeError, match=name):
                strategy(model, X, **{name: "many"})


@pytest.mark.parametrize(
    "strategy", [s for s in AWARE if "y_labelled" in inspect.signature(s).parameters]
)
def test_labels_and_rows_must_agree(strategy):
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    X = np.array([[0.2], [0.4], [0.9]])
    with pytest.raises(ValueError, match="y_labelled"):
        strategy(model, X, X_labelled=X, y_labelled=[0, 1])
