"""What cannot be taught changes nothing, in the parts of an estimator either."""

import numpy as np
import pytest
from modAL.models import ActiveLearner, Committee
from sklearn.base import BaseEstimator
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

X = np.random.default_rng(0).normal(size=(20, 3))
Y = (X[:, 0] > 0).astype(int)


class Sign(BaseEstimator):
    """Refuses labels beside 0 and 1, after the steps before it were fitted."""

    kind = StandardScaler  # a class, no part

    def fit(self, X, y):
        if set(y) - {0, 1}:
            raise ValueError("labels")
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        return np.stack([-X[:, 0], X[:, 0]], axis=1)


@pytest.mark.parametrize("method", ["fit", "teach"])
@pytest.mark.parametrize("how", ["pipeline", "deep", "committee"])
def test_steps_of_a_pipeline_are_as_before(how, method):
    scaler = StandardScaler()
    if how == "deep":
        scaler = make_pipeline(FeatureUnion([("scaler", scaler)]))
    pipeline = make_pipeline(scaler, Sign())
    model = ActiveLearner(pipeline, X_training=X, y_training=Y)
    asked = model
    if how == "committee":
        model = Committee([model])
    expected = asked.predict_proba(X)
    with pytest.raises(ValueError, match="labels"):
        getattr(model, method)(50 * X + 9, Y + 7)
    np.testing.assert_array_equal(asked.predict_proba(X), expected)
    asked.teach(50 * X + 9, Y)
    assert (asked.predict_proba(X) != expected).any()
