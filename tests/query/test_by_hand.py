"""Rankings small enough to work out by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modal_pretrain import query
from modal_pretrain.query.typiclust import typicality


class Table:
    """Predicts what is written down for each row."""

    def __init__(self, proba):
        self.proba = np.array(proba)
        self.classes_ = np.arange(self.proba.shape[1])

    def predict_proba(self, X):
        return self.proba[np.asarray(X)[:, 0].astype(int)]


def rows(n):
    return np.arange(float(n)).reshape(-1, 1)


PROBA = [[0.6, 0.3, 0.1], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.9, 0.05, 0.05]]


@pytest.mark.parametrize(
    ("strategy", "ranking"),
    [
        # 1 - max: .4, .5, .6, .1
        (query.least_confidence_sampling, [2, 1, 0, 3]),
        # margins: .3, 0, .1, .85
        (query.margin_sampling, [1, 2, 0, 3]),
        # entropies: .898, .693, 1.089, .394
        (query.entropy_sampling, [2, 0, 1, 3]),
    ],
)
def test_uncertainty(strategy, ranking):
    idx, scores = strategy(Table(PROBA), rows(4), 4)
    assert idx.tolist() == ranking
    assert (np.diff(scores) < 0).all()


def test_random_is_uniform():
    X = rows(4)
    first = [
        query.random_sampling(None, X, 1, random_state=s)[0][0] for s in range(800)
    ]
    seen = np.bincount(first, minlength=4)
    assert ((seen - 200) ** 2 / 200).sum() < 16.3  # 0.1 % point, three degrees


@pytest.mark.parametrize(
    "kind",
    [
        lambda rows: {"a": np.eye(1000)[rows]},
        lambda rows: np.random.default_rng(0).normal(size=(100, 2))[rows // 10],
    ],
    ids=["in the order given", "copies"],
)
@pytest.mark.parametrize(
    "strategy", [query.random_sampling, query.least_confidence_sampling]
)
def test_rounds_of_one_seed_do_not_walk_from_row_to_row(strategy, kind):
    # A pool of copies, or of rows in the order of a video, from which rows are taken.
    steps = []
    for seed in range(5):
        left, before = np.arange(1000), None
        for _ in range(10):
            row = strategy(LogisticRegression(), kind(left), 1, random_state=seed)[0]
            asked = left[row[0]]
            steps.append(before is not None and abs(asked - before) < 10)
            left, before = np.delete(left, row), asked
    assert sum(steps) < 8  # of 45; chance: 1


def test_core_set():
    # From 0, the farthest is 10; then 4 (gap 4 to 0) before 7 (gap 3 to 10).
    X = np.array([[7.0], [4.0], [10.0], [1.0]])
    idx, scores = query.core_set_sampling(None, X, 4, X_labelled=[[0.0]])
    assert idx.tolist() == [2, 1, 0, 3]
    assert scores.tolist() == [10, 4, 3, 1]


def test_core_set_starts_in_the_middle():
    X = np.array([[0.0], [4.0], [5.0], [11.0]])  # mean 5
    idx, scores = query.core_set_sampling(None, X, 3)
    assert idx.tolist() == [2, 3, 0]
    assert scores.tolist() == [np.inf, 6, 5]


def test_ranked_batch():
    # Labelled: 0. alpha = 3/4: .75 * (1 - 1/(1+d)) + .25 * u
    #   row 0 (d 1, u .5): .5     row 1 (d 3, u 0): .5625    row 2 (d 4, u .1): .625
    # Then alpha = 2/4 with 4 labelled too:
    #   row 0 (d 1): .25 + .25    row 1 (d 1): .25 + 0
    proba = [[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]]
    X = np.array([[1.0], [3.0], [4.0]])

    class Known(Table):
        def predict_proba(self, X):
            return self.proba[np.searchsorted([1.0, 3.0, 4.0], X[:, 0])]

    idx, scores = query.ranked_batch_sampling(Known(proba), X, 2, X_labelled=[[0.0]])
    assert idx.tolist() == [2, 0]
    np.testing.assert_allclose(scores, [0.625, 0.5])


def test_badge():
    # |a|^2 |x|^2 with a = (-q, q): .5 * 4, .02 * 16, .08 * 9 -> row 0 first.
    proba = [[0.5, 0.5], [0.9, 0.1], [0.8, 0.2]]
    X = np.array([[2.0], [4.0], [3.0]])

    class Known(Table):
        def predict_proba(self, X):
            return self.proba[np.searchsorted([2.0, 3.0, 4.0], X[:, 0])[..., None].T[0]]

    model = Known([proba[0], proba[2], proba[1]])
    idx, scores = query.badge_sampling(model, X, 3, random_state=0)
    assert idx[0] == 0
    assert scores[0] == pytest.approx(2.0)
    # Gradients q x: 1, .4, .6 times (-1, 1): squared gaps 2 * .36 and 2 * .16.
    gap = {1: 0.72, 2: 0.32}
    assert scores[1] == pytest.approx(gap[idx[1]])


def test_max_herding():
    # Three rows at 0, 1, 2 and one at 9; sigma 1. Similarities: exp(-1) = .368 at one
    # step, exp(-4) = .018 at two. First gains (times 4): 1.386, 1.736, 1.386, 1; then
    # 9 (gain 1) before 0 and 2 (1 - .368 = .632 each).
    X = np.array([[0.0], [9.0], [1.0], [2.0]])
    idx, scores = query.max_herding_sampling(None, X, 2, normalize=False)
    assert idx.tolist() == [2, 1]
    np.testing.assert_allclose(scores, [(1 + 2 * np.exp(-1)) / 4, 0.25], rtol=1e-5)


def test_uncertainty_herding():
    # As above, but only the row at 9 and, less so, the one at 2 are uncertain.
    X = np.array([[0.0], [9.0], [1.0], [2.0]])

    class Known(Table):
        def predict_proba(self, X):
            return self.proba[np.searchsorted([0.0, 1.0, 2.0, 9.0], X[:, 0])]

    model = Known([[1.0, 0.0], [1.0, 0.0], [0.75, 0.25], [0.5, 0.5]])
    idx, scores = query.uncertainty_herding_sampling(
        model, X, 2, normalize=False, sigma=1.0
    )
    assert idx.tolist() == [1, 3]
    np.testing.assert_allclose(scores, [0.25, 0.5 / 4], rtol=1e-5)


def test_uncertainty_herding_radius_and_temperature():
    X = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    seed = np.array([[0.0, 2.0], [0.0, 5.0], [4.0, 0.0]])
    # Of unit length, two labelled rows are the same: the least positive gap is sqrt(2).
    model = Table([[0.7, 0.3], [0.6, 0.4]])
    by_rule = query.uncertainty_herding_sampling(model, X, 3, X_labelled=seed)
    explicit = query.uncertainty_herding_sampling(
        model, X, 3, X_labelled=seed, sigma=np.sqrt(2)
    )
    np.testing.assert_allclose(by_rule[1], explicit[1], rtol=1e-6)
    # The more confident of two models that are right seven times in ten is softened.
    calm = query.uncertainty_herding_sampling(
        model,
        X,
        1,
        X_labelled=seed,
        X_calibration=np.zeros((10, 2)),
        y_calibration=[0] * 5 + [1] * 5,
    )
    assert calm[1] > by_rule[1][0]


def test_prob_cover():
    # Balls of radius 1.5: 1 covers {0, 1, 2}; then 11 covers {10, 11}, 20 itself.
    X = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [20.0]])
    idx, scores = query.prob_cover_sampling(
        None, X, 3, delta=1.5, normalize=False, X_labelled=[[10.4]]
    )
    assert idx[:2].tolist() == [1, 5]
    np.testing.assert_allclose(scores, [3 / 6, 1 / 6, 0])


def test_typicality():
    # Mean distance to two of: 0, 1, 2, 6. Half of four rows are used.
    score = typicality(np.array([[0.0], [1.0], [2.0], [6.0]]), 20)
    np.testing.assert_allclose(score, [1 / 1.5, 1, 1 / 1.5, 1 / 4.5], rtol=1e-4)


def test_typiclust():
    # Two labels to come and one there: three groups, three clusters. The labelled one
    # is not visited; the larger of the others comes first, by its middle row.
    X = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [51.5], [52.0], [99.0], [100.0]])
    idx, _ = query.typiclust_sampling(
        None,
        X,
        2,
        X_labelled=[[98.0]],
        normalize=False,
        min_cluster_size=0,
        random_state=0,
    )
    assert idx.tolist() == [5, 1]


def test_typiclust_of_many_copies(monkeypatch):
    # Half of the rows are equal, as blank pictures are. They are at no distance from
    # each other, which takes no square of their number to find; the first comes first.
    measured = []
    monkeypatch.setattr(
        "modal_pretrain.query.typiclust.typicality",
        lambda rows, n_neighbors: measured.append(len(rows)) or typicality(rows),
    )
    X = np.random.default_rng(0).normal(5, 1, (600, 8))
    X[1::2] = X[1]
    idx, scores = query.typiclust_sampling(None, X, 1, normalize=False, random_state=0)
    assert idx.tolist() == [1]
    np.testing.assert_allclose(scores, 1e5)
    assert not measured


def test_clue():
    # The sure row at 30 weighs nothing, so both centres lie among the uncertain ones.
    X = np.array([[0.0], [1.0], [2.0], [10.0], [30.0]])

    class Known(Table):
        def predict_proba(self, X):
            return self.proba[(X[:, 0] > 20).astype(int)]

    idx, scores = query.clue_sampling(
        Known([[0.5, 0.5], [1.0, 0.0]]), X, 2, random_state=0
    )
    assert idx.tolist() == [1, 3]
    np.testing.assert_allclose(scores, np.log(2) * np.array([3, 1]))


def test_drop_query():
    # Row 0 hangs on one feature; rows 1 and 2 keep their sign whatever is dropped.
    class Sign:
        classes_ = np.array([0, 1])

        def predict_proba(self, X):
            up = X.sum(axis=1) > 0
            return np.column_stack([~up, up]).astype(float)

    X = -np.ones((3, 20))
    X[0, 0] = 25.0
    idx, scores = query.drop_query_sampling(
        Sign(), X, 1, random_state=0, n_passes=50, dropout=0.75
    )
    assert idx.tolist() == [0]
    assert scores[0] == pytest.approx(0.75, abs=0.2)


def test_bald():
    # Two members: they differ on row 0 (log 2), agree on rows 1 (sure) and 2 (unsure),
    # and differ a little on row 3.
    votes = [
        [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.6, 0.4]],
        [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.4, 0.6]],
    ]
    idx, scores = query.bald_sampling(None, rows(4), 4, proba_samples=votes)
    assert idx[:2].tolist() == [0, 3]
    assert set(idx[2:]) == {1, 2}
    np.testing.assert_allclose(scores, [np.log(2), 0.0201, 0, 0], atol=1e-4)


def test_epig():
    # The target is decided as row 0 is: knowing 0 tells all of it, row 1 nothing.
    votes = np.array(
        [
            [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]],
            [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]],
            [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]],
            [[0.0, 1.0], [0.0, 1.0], [0.5, 0.5]],
        ]
    )
    score = query.epig_score(votes, votes[:, :1])
    np.testing.assert_allclose(score, [np.log(2), 0, 0], atol=1e-12)
    bald = query.bald_score(votes)
    np.testing.assert_allclose(bald, [np.log(2), np.log(2), 0], atol=1e-12)
