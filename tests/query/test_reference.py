"""Each strategy against its paper's definition, or modAL, on random inputs."""

import numpy as np
import pytest
from modAL.batch import uncertainty_batch_sampling
from modAL.disagreement import consensus_entropy
from modAL.dropout import _bald_divergence
from modAL.models import ActiveLearner, Committee
from modAL.uncertainty import (
    classifier_entropy,
    classifier_margin,
    classifier_uncertainty,
    uncertainty_sampling,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modal_pretrain import query
from modal_pretrain.query._engine.kmeans import kmeans
from modal_pretrain.query._engine.order import canonical_order
from modal_pretrain.query._engine.pool import Rows
from modal_pretrain.query.drop_query import _recover_head
from modal_pretrain.query.prob_cover import _pure_radius
from tests.query.naive import (
    badge,
    bald,
    core_set,
    cover_degrees,
    epig,
    herding_gains,
    pure_radius,
    typiclust,
    unit,
)
from tests.query.query_cases import Centroids, make, pool

SEEDS = range(4)


def problem(seed, n=150, d=8, n_classes=3, n_labelled=12, dtype=np.float64):
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((5, d))
    X = centres[rng.integers(5, size=n)] + rng.standard_normal((n, d))
    X_labelled = centres[rng.integers(5, size=n_labelled)] + rng.standard_normal(
        (n_labelled, d)
    )
    y = np.arange(n_labelled) % n_classes
    model = Centroids().fit(X_labelled, y)
    return model, X.astype(dtype), X_labelled.astype(dtype), y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", SEEDS)
def test_core_set(seed, dtype):
    model, X, X_labelled, _ = problem(seed, dtype=dtype)
    idx, scores = query.core_set_sampling(model, X, 30, X_labelled=X_labelled)
    assert idx.tolist() == core_set(X, X_labelled, 30)
    assert (np.diff(scores) <= 1e-12).all()


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", SEEDS)
def test_badge(seed, dtype, n_classes):
    model, X, _, _ = problem(seed, n_classes=n_classes, dtype=dtype)
    idx, _ = query.badge_sampling(model, X, 30, random_state=seed)
    rng = np.random.default_rng(seed)
    proba = model.predict_proba(X)
    assert idx.tolist() == badge(X.astype(float), proba, 30, canonical_order(X), rng)


def test_badge_draws_in_proportion_to_the_squared_distance():
    model, X, _, _ = problem(0, n=6)
    proba = model.predict_proba(X)
    gradient = proba - np.eye(3)[proba.argmax(axis=1)]
    flat = np.einsum("nc,nd->ncd", gradient, X).reshape(6, -1)
    first = np.argmax((flat**2).sum(axis=1))
    squared = ((flat - flat[first]) ** 2).sum(axis=1)
    runs = 1000
    draws = [
        query.badge_sampling(model, X, 2, random_state=s)[0][1] for s in range(runs)
    ]
    seen = np.bincount(draws, minlength=6)
    expected = runs * squared / squared.sum()
    others = np.arange(6) != first
    chi2 = ((seen - expected)[others] ** 2 / expected[others]).sum()
    assert seen[first] == 0
    assert chi2 < 18.5  # 0.1 % point at four degrees of freedom


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", SEEDS)
def test_ranked_batch_is_that_of_modal(seed, dtype):
    _, X, X_labelled, y = problem(seed, n=200, dtype=dtype)
    learner = ActiveLearner(Centroids(), X_training=X_labelled, y_training=y)
    theirs, uncertainty = uncertainty_batch_sampling(learner, X, n_instances=40)
    ours, _ = query.ranked_batch_sampling(learner, X, 40)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(
        uncertainty, 1 - learner.predict_proba(X)[ours].max(axis=1)
    )


def test_ranked_batch_on_transformed_is_that_of_modal():
    _, X, X_labelled, y = problem(3)
    pipeline = make_pipeline(StandardScaler(), Centroids())
    X[:, 0] *= 100
    for flag in (False, True):
        learner = ActiveLearner(
            pipeline, X_training=X_labelled, y_training=y, on_transformed=flag
        )
        theirs, _ = uncertainty_batch_sampling(learner, X, n_instances=20)
        ours, _ = query.ranked_batch_sampling(learner, X, 20)
        np.testing.assert_array_equal(ours, theirs)


def test_ranked_batch_cold_start_is_that_of_modal():
    model, X, _, _ = problem(1)
    learner = ActiveLearner(Centroids())
    learner.estimator = model
    theirs, _ = uncertainty_batch_sampling(learner, X, n_instances=20)
    ours, _ = query.ranked_batch_sampling(learner, X, 20)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("score", "modal", "sign"),
    [
        (query.least_confidence_score, classifier_uncertainty, 1),
        (query.margin_score, classifier_margin, -1),
        (query.entropy_score, classifier_entropy, 1),
    ],
)
@pytest.mark.parametrize("n_classes", [1, 2, 5])
def test_scores_are_those_of_modal(score, modal, sign, n_classes):
    model, X, _, _ = problem(0, n_classes=n_classes)
    offset = 1 if sign < 0 and n_classes > 1 else 0
    np.testing.assert_allclose(
        score(model.predict_proba(X)),
        offset + sign * modal(model, X),
        atol=1e-12,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_least_confidence_is_that_of_modal(seed):
    model, X, _, _ = problem(seed)
    theirs, _ = uncertainty_sampling(model, X, n_instances=10)
    ours, scores = query.least_confidence_sampling(model, X, 10)
    assert set(ours) == set(theirs)
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("with_labels", [False, True])
@pytest.mark.parametrize("sigma", [0.3, 1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_max_herding(seed, sigma, with_labels):
    model, X, X_labelled, _ = problem(seed)
    known = X_labelled if with_labels else X_labelled[:0]
    idx, scores = query.max_herding_sampling(
        model, X, 25, sigma=sigma, X_labelled=known
    )
    check_gains(unit(X), unit(known), sigma, np.ones(len(X)), idx, scores)


def check_gains(x, known, sigma, weights, idx, scores):
    # Of two rows that cover only each other either will do, so ties are common.
    for i, row in enumerate(idx):
        gain = herding_gains(x, known, sigma, weights, idx[:i])
        assert gain[row] == pytest.approx(gain.max(), rel=1e-5)
        assert scores[i] == pytest.approx(gain[row], rel=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_uncertainty_herding(seed):
    model, X, X_labelled, _ = problem(seed)
    idx, scores = query.uncertainty_herding_sampling(
        model, X, 25, X_labelled=X_labelled, normalize=False
    )
    gap = np.sort(np.linalg.norm(X_labelled[:, None] - X_labelled, axis=2).ravel())
    sigma = gap[len(X_labelled)]  # the first that is not of a row to itself
    weights = query.margin_score(model.predict_proba(X))
    check_gains(X, X_labelled, sigma, weights, idx, scores)


def test_a_row_covers_itself_at_any_radius():
    # Rounding is not a distance: with a small radius the herd is the uncertain rows.
    model, X, X_labelled, _ = problem(0, d=300, dtype=np.float32)
    noise = np.random.default_rng(1).standard_normal((1, 300)).astype(np.float32)
    again = X_labelled[:1] + 1e-5 * noise  # the same picture in another batch
    _, scores = query.uncertainty_herding_sampling(
        model, X, 25, X_labelled=np.vstack([X_labelled, again])
    )
    margin = query.margin_score(model.predict_proba(X))
    np.testing.assert_allclose(scores, np.sort(margin)[:-26:-1] / len(X), rtol=1e-5)
    _, covered = query.prob_cover_sampling(model, np.vstack([X, X]), 150, delta=1e-5)
    assert (covered == 2 / 300).all()


@pytest.mark.parametrize("with_labels", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_prob_cover(seed, with_labels):
    model, X, X_labelled, _ = problem(seed)
    known = X_labelled if with_labels else X_labelled[:0]
    idx, scores = query.prob_cover_sampling(model, X, 25, delta=0.4, X_labelled=known)
    for i, row in enumerate(idx):
        degree = cover_degrees(unit(X), unit(known), 0.4, idx[:i])
        assert degree[row] == degree.max()  # which of equal ones is up to us
        assert scores[i] == pytest.approx(degree.max() / len(X))


def test_prob_cover_radius():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 3)).astype(np.float32)
    X[:45] += 2
    radius = _pure_radius(X, 2, 0.9, np.random.default_rng(0))
    labels = kmeans(X - X.mean(axis=0), 2, np.random.default_rng(0)).labels
    grid = np.linspace(0.05, 3, 600)
    assert radius == pytest.approx(pure_radius(X, labels, 0.9, grid), abs=0.006)


@pytest.mark.parametrize("with_labels", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_typiclust(seed, with_labels):
    model, X, X_labelled, _ = problem(seed, n=300)
    known = X_labelled if with_labels else X_labelled[:0]
    idx, _ = query.typiclust_sampling(
        model, X, 20, random_state=seed, X_labelled=known, n_neighbors=7
    )
    order = canonical_order(X)
    rows = np.vstack([unit(X[order]), unit(known)]).astype(np.float32)
    centred = rows - rows.mean(axis=0)
    labels = kmeans(centred, 20 + len(known), np.random.default_rng(seed)).labels
    chosen = typiclust(unit(X[order]), unit(known), labels, 20, n_neighbors=7)
    assert idx.tolist() == order[chosen].tolist()


def test_clue():
    model, X, _, _ = problem(0, n=300)
    idx, scores = query.clue_sampling(model, X, 12, random_state=0)
    order = canonical_order(X)
    rows = Rows(X, order, "centred").fast
    weights = query.entropy_score(model.predict_proba(X[order]))
    found = kmeans(rows, 12, np.random.default_rng(0), weights=weights)
    nearest = pairwise_distances_argmin(found.centres, rows)
    assert len(set(nearest)) == 12  # else the lighter one gets its next nearest
    assert set(idx) == set(order[nearest])
    mass = np.bincount(found.labels, weights=weights)
    np.testing.assert_allclose(scores, np.sort(mass)[::-1])


def test_drop_query():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 30))
    model = LogisticRegression(max_iter=1000).fit(X[:20], np.arange(20) % 3)
    idx, scores = query.drop_query_sampling(
        model, X, 4, random_state=5, n_passes=5, dropout=0.5
    )
    order, draws = canonical_order(X), np.random.default_rng(5)
    x = X[order]
    changed = np.zeros(200)
    for _ in range(5):
        kept = draws.integers(2**16, size=x.shape, dtype=np.uint16) >= 2**15
        changed += model.predict(x * kept * 2) != model.predict(x)
    candidates = np.flatnonzero(changed > 2)
    rows = Rows(X, order, "centred").fast[candidates]
    found = kmeans(rows, 4, draws)
    assert 2 not in np.bincount(found.labels)  # either row would do
    nearest = candidates[pairwise_distances_argmin(found.centres, rows)]
    assert len(candidates) > 4
    assert set(idx) == set(order[nearest])
    np.testing.assert_allclose(sorted(scores), sorted(changed[nearest] / 5))


def test_drop_query_recovers_a_linear_head():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 12)) + 3
    model = LogisticRegression(max_iter=1000).fit(X[:60], np.arange(60) % 4)

    class Stub:
        n, proba, rows = 400, model.predict_proba(X), Rows(X, np.arange(400), "raw")

    logits = model.decision_function(X)
    logits -= logits.mean(axis=1, keepdims=True)
    found = _recover_head(Stub())(X)
    np.testing.assert_allclose(found, logits, atol=1e-3)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_bald(n_classes):
    rng = np.random.default_rng(0)
    samples = rng.dirichlet(np.ones(n_classes), size=(3, 20))
    samples[0, 0] = np.eye(n_classes)[0]
    np.testing.assert_allclose(query.bald_score(samples), bald(samples), atol=1e-12)
    np.testing.assert_allclose(
        query.bald_score(samples), _bald_divergence(list(samples)), atol=1e-12
    )
    idx, scores = query.bald_sampling(None, pool(20), 5, proba_samples=samples)
    assert idx.tolist() == np.argsort(-bald(samples))[:5].tolist()
    assert (np.diff(scores) <= 0).all()


def test_bald_reads_a_committee():
    committee, X = make("committee"), pool()
    samples = committee.vote_proba(X).transpose(1, 0, 2)
    idx, _ = query.bald_sampling(committee, X, 5)
    assert idx.tolist() == np.argsort(-bald(samples))[:5].tolist()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_epig(n_classes):
    rng = np.random.default_rng(0)
    samples = rng.dirichlet(np.ones(n_classes), size=(3, 12))
    target = rng.dirichlet(np.ones(n_classes), size=(3, 5))
    expected = epig(samples, target)
    np.testing.assert_allclose(query.epig_score(samples, target), expected, atol=1e-12)
    X, X_target = pool(12), pool(5, seed=3)
    idx, _ = query.epig_sampling(
        None,
        X,
        4,
        X_target=X_target,
        proba_samples=lambda rows: samples if len(rows) == 12 else target,
    )
    assert idx.tolist() == np.argsort(-expected)[:4].tolist()


def test_epig_targets_are_a_sample_of_the_pool():
    rng = np.random.default_rng(0)
    samples = rng.dirichlet(np.ones(3), size=(4, 30))
    X = pool(30)
    for m in (7, 30, 100):
        idx, _ = query.epig_sampling(None, X, 4, n_target=m, proba_samples=samples)
        target = samples[:, canonical_order(X)[:m]]
        assert idx.tolist() == np.argsort(-epig(samples, target))[:4].tolist()


def test_entropy_of_a_committee_is_that_of_modal():
    committee, X = make("committee"), pool()
    assert isinstance(committee, Committee)
    idx, scores = query.entropy_sampling(committee, X, 5)
    np.testing.assert_allclose(scores, consensus_entropy(committee, X)[idx])
