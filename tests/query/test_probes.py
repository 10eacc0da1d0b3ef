"""Heads of a strategy's own: what they read, and which label is which class."""

import numpy as np
import pytest

from modal_pretrain import query
from modal_pretrain.query.probes import directions


class Table:
    """Predicts a table, whatever the rows."""

    def __init__(self, proba, classes=None):
        self.proba = proba
        if classes is not None:
            self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return self.proba


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    y = np.arange(18) % 3
    X = rng.standard_normal((18, 6)) + y[:, None]
    return rng.standard_normal((60, 6)), rng.dirichlet(np.ones(3), size=60), X, y


def scores(strategy, classifier, pool, **kwargs):
    idx, values = strategy(classifier, pool, len(pool), random_state=0, **kwargs)
    return values[np.argsort(idx)]


def test_directions_are_those_that_differ_between_classes():
    rng = np.random.default_rng(0)
    coef = rng.standard_normal((3, 5))
    coef -= coef.mean(axis=0)
    basis = directions(coef)
    assert basis.shape == (5, 2)
    assert np.allclose(coef @ basis @ basis.T, coef)
    assert directions(np.zeros((2, 5))).shape == (5, 0)


def test_orthogonal_probes_do_not_depend_on_the_order_of_classes_or_rows(labelled):
    pool, proba, X, y = labelled
    found = scores(
        query.orthogonal_probe_sampling, Table(proba), pool, X_labelled=X, y_labelled=y
    )
    for order, names in ((np.arange(18)[::-1], [0, 1, 2]), (np.arange(18), [2, 0, 1])):
        other = scores(
            query.orthogonal_probe_sampling,
            Table(proba),
            pool,
            X_labelled=X[order],
            y_labelled=np.array(names)[y[order]],
        )
        assert np.allclose(found, other, atol=1e-6)


def test_orthogonal_probes_end_where_nothing_is_left(labelled):
    pool, proba, X, y = labelled
    three, many = (
        query.orthogonal_probe_sampling(
            Table(proba),
            pool,
            5,
            X_labelled=X,
            y_labelled=y,
            n_probes=n,
            random_state=0,
        )
        for n in (3, 10**9)
    )
    assert np.array_equal(three[0], many[0]) and np.array_equal(three[1], many[1])


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_one_row_a_class_leaves_nothing_to_a_second_probe(n_classes):
    rng = np.random.default_rng(n_classes)
    X, pool = rng.standard_normal((n_classes, 20)), rng.standard_normal((300, 20))
    proba = rng.dirichlet(np.ones(n_classes), size=300)
    # Else a probe of rounding alone, against which sure rows stand out, is a second.
    idx, values = query.orthogonal_probe_sampling(
        Table(proba),
        pool,
        10,
        X_labelled=X,
        y_labelled=np.arange(n_classes),
        random_state=0,
    )
    least = query.least_confidence_sampling(Table(proba), pool, 10)
    assert np.array_equal(idx, least[0]) and np.allclose(values, least[1])


@pytest.mark.parametrize(
    "strategy", [query.early_late_sampling, query.pseudo_group_sampling]
)
def test_columns_are_those_of_the_classes(strategy, labelled):
    pool, proba, X, y = labelled
    given = {"X_labelled": X, "y_labelled": y}
    found = scores(strategy, Table(proba, [0, 1, 2]), pool, **given)
    turned = scores(strategy, Table(proba[:, [2, 0, 1]], [2, 0, 1]), pool, **given)
    assert np.allclose(found, turned)
    # Of as many classes, but not the same, they say nothing of these columns.
    given["y_labelled"] = y + 1
    unknown = scores(strategy, Table(proba, [0, 1, 2]), pool, **given)
    assert not np.allclose(found, unknown)
    nothing = scores(strategy, Table(proba, [0, 1, 2]), pool)
    assert np.allclose(unknown, nothing)
    given["y_labelled"] = y + 7
    with pytest.raises(ValueError, match="none of which is a class"):
        scores(strategy, Table(proba, [0, 1, 2]), pool, **given)
