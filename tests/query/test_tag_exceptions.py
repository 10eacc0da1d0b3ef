"""Rows against their tag: what is asked for, and where the tags come from."""

import time

import numpy as np
import pytest
from modAL.models import ActiveLearner, Committee
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modal_pretrain.query import (
    disambiguation_sampling,
    least_confidence_sampling,
    pseudo_group_sampling,
    tag_exception_sampling,
)
from modal_pretrain.query._engine.tags import guessed_tags
from modal_pretrain.query.tag_exceptions import AgainstTag
from tests.query.test_disambiguation import composite
from tests.reweighting.test_errors import table

PLACES = np.array(["land", "water"])


@pytest.fixture
def task():
    """A seed set with some exceptions, and a pool of 5 % exceptions."""
    X, y, a = composite(600)
    seed = np.r_[np.flatnonzero(a == y)[:20], np.flatnonzero(a != y)[:3]]
    pool = np.setdiff1d(np.arange(600), seed)
    return X[seed], y[seed], PLACES[a[seed]], X[pool], (y != a)[pool]


def asked(task, k, tags, **known):
    X, y, _, pool, _ = task
    known = {"X_labelled": X, "y_labelled": y, "tags_labelled": tags} | known
    model = LogisticRegression(C=0.01).fit(X, y)
    return tag_exception_sampling(model, pool, k, random_state=0, **known)


def test_every_other_row_goes_against_its_tag(task):
    X, y, tags, pool, exception = task
    learner = ActiveLearner(table().tag(X, tags), X_training=X, y_training=y)
    idx, scores = tag_exception_sampling(learner, pool, 20, random_state=0)
    against = (len(y) + np.arange(20)) % 2 == 1
    assert exception[idx][against].mean() >= 0.5
    uncertain, _ = least_confidence_sampling(learner, pool, 20)
    assert exception[idx].mean() > exception[uncertain].mean() + 0.1
    assert (scores > 0).all()


def test_as_by_hand(task):
    X, y, tags, pool, _ = task
    model = LogisticRegression(C=0.01).fit(X, y)
    idx, scores = asked(task, 6, tags, n_components=8)
    # The probe: balanced over tag and class, on standardised columns.
    mean, std = pool.mean(axis=0), pool.std(axis=0)
    a = np.unique(tags, return_inverse=True)[1]
    cells = np.array([[np.sum((y == c) & (a == t)) for t in (0, 1)] for c in (0, 1)])
    weight = len(y) / 4 / cells[y, a]
    scaled = [(rows - mean) / std / np.sqrt(X.shape[1]) for rows in (X, pool)]
    probe = LogisticRegression(C=10.0, tol=1e-8).fit(scaled[0], a, weight)
    P, Q = model.predict_proba(pool), probe.predict_proba(scaled[1])
    count, usual = cells.astype(float), cells.argmax(axis=0)
    expected = []
    for turn in range(len(y), len(y) + 6):
        worth = 1 - P.max(axis=1)
        if turn % 2:
            worth = sum(
                Q[:, t] * P[:, c] / (1 + count[c, t])
                for c in (0, 1)
                for t in (0, 1)
                if c != usual[t]
            )
        worth[expected] = -1
        expected.append(int(worth.argmax()))
        count += np.outer(P[expected[-1]], Q[expected[-1]])
        assert scores[len(expected) - 1] == pytest.approx(worth.max(), rel=1e-2)
    assert idx.tolist() == expected


def test_the_probe_reads_the_attribute_and_not_the_class():
    X, y, a = composite(400)
    few = np.r_[np.flatnonzero(a == y)[:60], np.flatnonzero(a != y)[:4]]
    X = (X / np.sqrt((X**2).sum(axis=1).mean())).astype(np.float32)
    guess = guessed_tags(X, X[few], a[few], y[few])
    np.testing.assert_allclose(guess.sum(axis=1), 1)
    assert (guess.argmax(axis=1) == a)[a != y].mean() > 0.95


@pytest.mark.parametrize("what", ["none", "unknown", "one value"])
def test_without_tags_the_uncertain_rows_are_asked_for(task, what):
    X, y, tags, pool, _ = task
    if what == "none":
        tags = None
    elif what == "unknown":
        tags = [None] * len(y)
    else:
        tags = np.where(np.arange(len(y)) < 9, "land", None)
    idx, scores = asked(task, 10, tags)
    model = LogisticRegression(C=0.01).fit(X, y)
    expected = least_confidence_sampling(model, pool, 10, random_state=0)
    np.testing.assert_array_equal(idx, expected[0])
    np.testing.assert_allclose(scores, expected[1], atol=1e-6)


def test_untagged_rows_do_not_count(task):
    X, y, tags, _, _ = task
    some = tags.astype(object)
    some[[0, 5, 21]] = None
    kept = some != None  # noqa: E711
    one = asked(task, 9, some)
    # One more labelled row would change whose turn it is, so as many are left out.
    other = asked(task, 9, np.r_[some[kept], [None] * 3], X_labelled=np.r_[
        X[kept], X[~kept]], y_labelled=np.r_[y[kept], y[~kept]])  # fmt: skip
    np.testing.assert_array_equal(one[0], other[0])
    assert (one[0] != asked(task, 9, tags)[0]).any()


def test_attributes_take_turns(task):
    tags = task[2]
    constant = np.stack([tags, ["north"] * len(tags)], axis=1)
    np.testing.assert_array_equal(asked(task, 9, constant)[0], asked(task, 9, tags)[0])
    other = np.arange(len(tags)) % 3
    both = np.stack([tags.astype(object), other.astype(object)], axis=1)
    idx, _ = asked(task, 12, both)
    alone = [asked(task, 12, column)[0] for column in (tags, other)]
    assert set(idx) & set(alone[0][1::2])
    assert set(idx) & set(alone[1][1::2])


def test_a_learner_remembers_tags(task):
    X, y, tags, pool, _ = task
    learner = ActiveLearner(
        table().tag(X, tags), tag_exception_sampling, X_training=X, y_training=y
    )
    idx, _ = learner.query(pool, n_instances=8, random_state=0)
    told, _ = tag_exception_sampling(
        learner, pool, 8, random_state=0, tags_labelled=tags
    )
    np.testing.assert_array_equal(idx, told)
    plain = ActiveLearner(table(), X_training=X, y_training=y)
    without, _ = tag_exception_sampling(plain, pool, 8, random_state=0)
    assert (without != idx).any()
    # Rows that are taught without a tag are labelled rows, too.
    learner.teach(pool[idx], np.zeros(8, dtype=int))
    more, _ = learner.query(pool, n_instances=8, random_state=0)
    assert len(set(more)) == 8


def test_a_pipeline_and_a_committee_remember_tags(task):
    X, y, tags, pool, _ = task
    scaler = StandardScaler().fit(X)
    head = table().tag(scaler.transform(X), tags)
    pipeline = make_pipeline(scaler, head)
    learner = ActiveLearner(pipeline, X_training=X, y_training=y, on_transformed=True)
    idx, _ = tag_exception_sampling(learner, pool, 8, random_state=0)
    told, _ = tag_exception_sampling(
        learner, pool, 8, random_state=0, tags_labelled=tags
    )
    np.testing.assert_array_equal(idx, told)
    members = [
        ActiveLearner(table().tag(X, tags), X_training=X, y_training=y),
        ActiveLearner(table(), X_training=X[:-1], y_training=y[:-1]),
    ]
    committee = Committee(members)
    idx, _ = tag_exception_sampling(committee, pool, 8, random_state=0)
    told, _ = tag_exception_sampling(
        committee, pool, 8, random_state=0, tags_labelled=tags
    )
    np.testing.assert_array_equal(idx, told)


def test_pictures(make, pictures, labels):
    places = PLACES[np.where(np.arange(24) % 8 == 0, 1 - labels, labels)]
    one = make().tag(pictures[:16], places[:16])
    learner = ActiveLearner(one, X_training=pictures[:16], y_training=labels[:16])
    assert one.known_tags(pictures[14:18]).ravel().tolist() == [
        places[14],
        places[15],
        None,
        None,
    ]
    assert one.known_tags(pictures[16:]).shape == (8, 0)
    idx, _ = tag_exception_sampling(learner, pictures[16:], 3, random_state=0)
    assert len(set(idx)) == 3


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        (["a"] * 3, "tags_labelled has 3 rows of tags for 23 rows"),
        (["a", 1] * 11 + ["a"], "tags_labelled mixes kinds of tags in column 0"),
        ("a", "tags_labelled must be a list or an array"),
        (np.zeros((23, 1, 1)), r"tags_labelled must have shape \(n,\) or \(n, k\)"),
    ],
)
def test_bad_tags(task, tags, error):
    with pytest.raises(ValueError, match=error):
        asked(task, 3, tags)
    with pytest.raises(ValueError, match="n_components must be"):
        asked(task, 3, None, n_components=0)


def test_tags_without_labels_and_labels_without_rows(task):
    with pytest.raises(ValueError, match="tags_labelled is given without y_labelled"):
        asked(task, 3, task[2], y_labelled=None)
    for tags in None, task[2]:
        with pytest.raises(ValueError, match="y_labelled has 23 entries"):
            asked(task, 3, tags, X_labelled=None)
    model = LogisticRegression().fit(*task[:2])
    for strategy in disambiguation_sampling, pseudo_group_sampling:
        with pytest.raises(ValueError, match="pass these as X_labelled"):
            strategy(model, task[3], 3, y_labelled=task[1])


def test_labels_of_other_classes(task):
    with pytest.raises(ValueError, match=r"y_labelled holds \['x'\], none of which"):
        asked(task, 3, task[2], y_labelled=["x"] * 23)
    with pytest.raises(ValueError, match="y_labelled has None in row"):
        asked(task, 3, task[2], y_labelled=np.ma.masked_equal(task[1], 1))


def test_names_of_classes_and_tags_do_not_matter(task):
    X, y, tags, pool, _ = task
    # Both places once with either class: ties that no order of names may break.
    rows = [int(np.flatnonzero((y == c) & (tags == t))[0]) for c in (0, 1)
            for t in PLACES]  # fmt: skip
    known = {"X_labelled": X[rows], "random_state": 0, "tags_labelled": tags[rows]}
    found = []
    for names in (np.array(["a", "b"]), np.array(["b", "a"])):
        model = LogisticRegression(C=0.01).fit(X, names[y])
        found.append(
            tag_exception_sampling(model, pool, 8, y_labelled=names[y[rows]], **known)
        )
    np.testing.assert_array_equal(found[0][0], found[1][0])
    swapped = np.where(tags[rows] == "land", "z", "water")
    again = asked((X, y, tags, pool, None), 8, swapped, X_labelled=X[rows],
                  y_labelled=y[rows])  # fmt: skip
    np.testing.assert_array_equal(again[0], found[0][0])


def test_lazily_as_at_once():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(4, 0.3), 500)
    proba[100:200] = proba[:100]  # ties
    attribute = rng.dirichlet(np.full(6, 0.3), 500)
    attribute[100:200] = attribute[:100]
    counts = rng.integers(0, 3, (4, 6)).astype(float)
    expert, free = AgainstTag(proba, attribute, counts), np.ones(500, dtype=bool)
    most = counts == counts.max(axis=0)
    for _ in range(150):
        value = np.where(most & (most.sum(axis=0) == 1), 0, 1 / (1 + counts))
        worth = np.round(np.einsum("ic,cv,iv->i", proba, value, attribute), 9)
        expected = int(np.where(free, worth, -1).argmax())
        row, score = expert.best(free)
        assert row == expected
        assert score == pytest.approx(worth[row])
        free[row] = False
        expert.add(row)
        counts += np.outer(proba[row], attribute[row])
        if row % 3:  # not every time by this expert
            free[rng.integers(500)] = False


def test_in_a_committee_the_experts_take_turns(task):
    X, y, tags, pool, _ = task
    members = [
        ActiveLearner(table().tag(X, tags), X_training=X[i:], y_training=y[i:])
        for i in (0, 1)
    ]
    committee = Committee(members)
    uncertain, _ = least_confidence_sampling(committee, pool, 1, random_state=0)
    found = []
    for _ in range(4):
        idx, _ = tag_exception_sampling(committee, pool, 1, random_state=0)
        found.append(int(idx[0]))
        committee.teach(pool[idx], y[:1], only_new=False)
    by_member = [len(learner.X_training) for learner in committee.learner_list]
    assert by_member == [len(y) + 4, len(y) + 3]
    # 23 rows: the first is against its tag, so is every other one.
    assert found[0] != uncertain[0]


def test_a_committee_merges_tags(task):
    X, y, tags, pool, _ = task
    some = tags.astype(object)
    parts = [np.where(np.arange(len(y)) % 2 == i, some, None) for i in (0, 1)]
    members = [
        ActiveLearner(table().tag(X, part), X_training=X, y_training=y)
        for part in parts
    ]
    committee = Committee(members)
    idx, _ = tag_exception_sampling(committee, pool, 8, random_state=0)
    told, _ = tag_exception_sampling(
        committee, pool, 8, random_state=0, tags_labelled=tags
    )
    np.testing.assert_array_equal(idx, told)
    members[1].estimator.tag(X, [[None, None]] * len(y))
    members[1].estimator = table().tag(X, np.stack([some, some], axis=1)).fit(X, y)
    with pytest.raises(ValueError, match="tags of 1 and of 2 attributes"):
        tag_exception_sampling(committee, pool, 8)
    members[1].estimator = table().tag(X[1::2], [1] * len(X[1::2])).fit(X, y)
    with pytest.raises(ValueError, match="X_labelled mixes kinds of tags in column 0"):
        tag_exception_sampling(committee, pool, 8)


def test_an_unfitted_classifier_asks_by_uncertainty(task):
    X, y, tags, pool, _ = task
    known = {"X_labelled": X, "y_labelled": y, "random_state": 0}
    idx, _ = tag_exception_sampling(table().tag(X, tags), pool, 5, **known)
    assert len(set(idx)) == 5
    with pytest.raises(ValueError, match="tags_labelled mixes kinds"):
        tag_exception_sampling(
            table(), pool, 5, tags_labelled=["a", 1] * 11 + ["b"], **known
        )


def test_many_cells_cost_little():
    rng = np.random.default_rng(0)
    proba, attribute = (
        rng.dirichlet(np.ones(182), 2000),
        rng.dirichlet(np.ones(300), 2000),
    )
    start = time.process_time()
    expert = AgainstTag(proba, attribute, rng.integers(0, 9, (182, 300)).astype(float))
    free = np.ones(2000, dtype=bool)
    for _ in range(100):
        row, _ = expert.best(free)
        free[row] = False
        expert.add(row)
    assert time.process_time() - start < 2
