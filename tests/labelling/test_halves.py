"""The half that is fitted has the probabilities of the whole."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modal_pretrain import PretrainedClassifier, TimmEncoder
from modal_pretrain.labelling.halves import halves

ROWS = np.arange(30)


@pytest.mark.parametrize(
    "params",
    [{}, {"classes": ["circle", "square", "star"]}, {"class_weight": "balanced"},
     {"C": 1.0}, {"module__dropout": 0.5}, {"optimizer__lr": 0.5}],
    ids=lambda params: next(iter(params), "default"),
)  # fmt: skip
def test_pictures(shapes, make, params):
    whole = make(**params)
    embed, head = halves(whole)
    vectors = embed(shapes.X)
    head.fit(vectors[ROWS], shapes.y[ROWS])
    whole.fit(shapes.X[ROWS], shapes.y[ROWS])
    expected = whole.predict_proba(shapes.X)
    assert np.abs(head.predict_proba(vectors) - expected).max() < 1e-6


def test_texts():
    pytest.importorskip("transformers")
    from modal_pretrain import PretrainedTextClassifier

    texts = ["a fine film", "a dull film", "lovely", "boring", "fun", "sad"]
    y = ["good", "bad"] * 3
    whole = PretrainedTextClassifier(device="cpu", precision="float32", C=0.1)
    embed, head = halves(whole)
    head.fit(embed(texts), y)
    expected = whole.fit(texts, y).predict_proba(texts)
    # Batches of texts go in another order, so L-BFGS ends elsewhere in its tolerance.
    assert np.abs(head.predict_proba(embed(texts)) - expected).max() < 1e-3


def test_pipelines(shapes):
    encoder = TimmEncoder(image_size=32, device="cpu", precision="float32")
    whole = make_pipeline(encoder, StandardScaler(), LogisticRegression())
    embed, head = halves(whole)
    vectors = embed(shapes.X)
    assert [type(step).__name__ for _, step in head.steps] == [
        "StandardScaler",
        "LogisticRegression",
    ]
    head.fit(vectors[ROWS], shapes.y[ROWS])
    whole.fit(shapes.X[ROWS], shapes.y[ROWS])
    expected = whole.predict_proba(shapes.X)
    assert np.abs(head.predict_proba(vectors) - expected).max() < 1e-6


@pytest.mark.parametrize(
    "estimator",
    [
        PretrainedClassifier(tune="all"),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(TimmEncoder(pretrained=False), LogisticRegression()),
        LogisticRegression(),
    ],
    ids=["trains", "table", "random weights", "plain"],
)
def test_what_cannot_be_split(estimator):
    embed, head = halves(estimator)
    assert embed is None
    assert type(head) is type(estimator) and head is not estimator
    assert clone(estimator).get_params().keys() == head.get_params().keys()
