"""The head on a frozen backbone."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from skorch.dataset import ValidSplit


def standardised(classifier, X):
    embedding = torch.from_numpy(classifier.embed(X))
    network = classifier.module_
    return ((embedding - network.mean) * network.scale).numpy()


@pytest.mark.parametrize("C", [1e-4, 0.005, 0.3])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 1: 0.5, 2: 2.0}])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_head_is_scikit_learns_logistic_regression(
    make, pictures, class_weight, n_classes, C
):
    rng = np.random.default_rng(0)
    y = rng.choice(
        n_classes, size=24, p=[0.6, 0.4] if n_classes == 2 else [0.6, 0.3, 0.1]
    )
    if isinstance(class_weight, dict):
        class_weight = {k: class_weight[k] for k in range(n_classes)}
    classifier = make(C=C, class_weight=class_weight).fit(pictures, y)
    X = standardised(classifier, pictures)
    # Binary: two columns of half the difference each, so twice the C.
    reference = LogisticRegression(
        C=2 * C if n_classes == 2 else C,
        class_weight=class_weight,
        tol=1e-8,
        max_iter=10_000,
    ).fit(X, y)
    np.testing.assert_allclose(
        classifier.predict_proba(pictures), reference.predict_proba(X), atol=2e-3
    )


def test_rows_are_standardised_as_the_docstring_of_c_says(make, pictures, labels):
    classifier = make(C=0.01).fit(pictures, labels)
    X = classifier.embed(pictures).astype(np.float64)
    n, variance = len(X), X.var(axis=0)
    X = (X - X.mean(axis=0)) / np.sqrt((n * variance + 10 * variance.mean()) / (n + 10))
    reference = LogisticRegression(C=0.02, tol=1e-8, max_iter=10_000).fit(X, labels)
    np.testing.assert_allclose(
        classifier.predict_proba(pictures), reference.predict_proba(X), atol=2e-3
    )


def test_penalty_weighs_the_part_that_trains(make, pictures, labels):
    half = ValidSplit(((np.arange(12), np.arange(12, 24)),))
    classifier = make(C=0.01, train_split=half).fit(pictures, labels)
    X = standardised(classifier, pictures)
    reference = LogisticRegression(C=0.02, tol=1e-8).fit(X[:12], labels[:12])
    np.testing.assert_allclose(
        classifier.predict_proba(pictures), reference.predict_proba(X), atol=2e-3
    )


def test_confident_rows_keep_an_order(make, pictures, labels, monkeypatch):
    classifier = make().fit(pictures, labels)
    logits = torch.zeros(24, 2)
    logits[:, 1] = torch.linspace(18, 34, 24)  # float32 would round to 1
    monkeypatch.setattr(classifier, "forward_iter", lambda X: iter([logits]))
    proba = classifier.predict_proba(pictures)[:, 1]
    assert (np.diff(proba) > 0).all()
