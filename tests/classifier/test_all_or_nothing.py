"""A fit that raises leaves the estimator as it was, unfitted or predicting the same."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from tests.classifier.cases import KINDS, kinds, tiny


class Fails(Callback):
    """Raises at a moment of training."""

    def __init__(self, moment, error=RuntimeError):
        self.moment = moment
        self.error = error

    def on_train_begin(self, net, **kwargs):
        self.at("begin")

    def on_batch_end(self, net, training=False, **kwargs):
        self.at("batch")

    def on_train_end(self, net, **kwargs):
        self.at("end")

    def at(self, moment):
        if moment == self.moment:
            raise self.error("on purpose")


WRONG = {
    "weights": ({}, {"sample_weight": [1.0]}),
    "keyword": ({}, {"foo": 1}),
    "class_weight": ({"class_weight": {7: 1.0}}, {}),
    "criterion": ({"criterion": torch.nn.MSELoss}, {}),
    "callback, at first": ({"callbacks": [Fails("begin")]}, {}),
    "callback, half way": ({"callbacks": [Fails("batch")]}, {}),
    "callback, at last": ({"callbacks": [Fails("end")]}, {}),
    "Ctrl-C": ({"callbacks": [Fails("batch", KeyboardInterrupt)]}, {}),
}
ERRORS = (ValueError, TypeError, RuntimeError, KeyboardInterrupt)
wrong = pytest.mark.parametrize("what", WRONG)


@wrong
@kinds
def test_a_first_fit(make, pictures, labels, kind, what):
    params, keywords = WRONG[what]
    classifier = make(**{**KINDS[kind], **params})
    before = dict(vars(classifier))
    for method in (classifier.fit, classifier.partial_fit):
        with pytest.raises(ERRORS):
            method(pictures, labels, **keywords)
        with pytest.raises(NotFittedError):
            classifier.predict_proba(pictures)
        assert vars(classifier) == before


@wrong
@kinds
def test_a_second_fit(make, pictures, labels, kind, what):
    params, keywords = WRONG[what]
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    expected, n_epochs = classifier.predict_proba(pictures), len(classifier.history)
    restored = {name: getattr(classifier, name) for name in params}
    classifier.set_params(**params)
    with pytest.raises(ERRORS):
        classifier.fit(pictures[::-1], labels, **keywords)
    classifier.set_params(**restored)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), expected)
    assert len(classifier.history) == n_epochs
    # And it goes on as if nothing had happened.
    classifier.partial_fit(pictures, labels)
    other = make(**KINDS[kind]).fit(pictures, labels).partial_fit(pictures, labels)
    np.testing.assert_array_equal(
        classifier.predict_proba(pictures), other.predict_proba(pictures)
    )


@pytest.mark.parametrize("moment", ["begin", "batch", "end"])
@pytest.mark.parametrize("optimizer", ["auto", torch.optim.Adam])
@pytest.mark.parametrize("kind", ["head", "all", "last"])
def test_training_on(make, pictures, labels, kind, optimizer, moment):
    params = {**KINDS[kind], "optimizer": optimizer, "max_epochs": 3}
    classifier, other = (make(**params).fit(pictures, labels) for _ in range(2))
    expected = classifier.predict_proba(pictures)
    classifier.set_params(warm_start=True, callbacks=[Fails(moment)])
    for method in (classifier.partial_fit, classifier.fit):
        with pytest.raises(RuntimeError, match="on purpose"):
            method(pictures[::-1], labels)
        np.testing.assert_array_equal(classifier.predict_proba(pictures), expected)
        assert len(classifier.history) == len(other.history)
    classifier.set_params(callbacks=None)
    for one in (classifier, other):
        one.partial_fit(pictures, labels)
    np.testing.assert_array_equal(
        classifier.predict_proba(pictures), other.predict_proba(pictures)
    )


def test_a_head_that_was_not_there(make, pictures, labels):
    classifier = make(classes=[0, 1], callbacks=[Fails("end")]).initialize()
    with pytest.raises(RuntimeError, match="on purpose"):
        classifier.partial_fit(pictures, labels)
    assert classifier.module_.head is None
    with pytest.raises(NotFittedError):
        classifier.predict(pictures)


@pytest.mark.parametrize("keyword", ["foo", "inputs", "sample_wieght"])
def test_unknown_keywords_are_named(make, pictures, labels, keyword):
    for method in ("fit", "partial_fit"):
        with pytest.raises(TypeError, match=rf"fit got an unex.*'{keyword}'") as error:
            getattr(make(), method)(pictures, labels, **{keyword: 1})
        assert "forward()" not in str(error.value)
        hint = "Did you mean 'sample_weight'?" in str(error.value)
        assert hint == (keyword == "sample_wieght")


CHANGES = {
    "backbone": tiny,
    "pretrained": False,
    "tune": 1,
    "classes": [0, 1, 2],
    "precision": "bfloat16",
    "image_size": 24,
    "module__dropout": 0.5,
    "criterion__label_smoothing": 0.1,
    "criterion": torch.nn.MultiMarginLoss,
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_parameters_than_those_of_the_fit(make, pictures, labels, name):
    classifier = make().fit(pictures, labels)
    expected = classifier.predict_proba(pictures)
    was = classifier.get_params().get(name, 0.0)
    classifier.set_params(**{name: CHANGES[name]})
    for call in (
        lambda: classifier.predict(pictures),
        lambda: classifier.predict_proba(pictures),
        lambda: classifier.partial_fit(pictures, labels),
        lambda: classifier.set_params(warm_start=True).fit(pictures, labels),
    ):
        with pytest.raises(ValueError, match=rf"{name} is .* now.* or call fit again"):
            call()
    if "__" not in name:
        classifier.set_params(**{name: was})
        np.testing.assert_array_equal(classifier.predict_proba(pictures), expected)
    classifier.set_params(warm_start=False, **{name: CHANGES[name]}, max_epochs=1)
    classifier.set_params(max_steps=1).fit(pictures, labels).predict(pictures)


@pytest.mark.parametrize("name", ["backbone", "image_size", "precision"])
def test_embeddings_are_those_of_the_parameters(make, pictures, labels, name, tmp_path):
    classifier = make(backbone="test_efficientnet", pretrained=False).fit(
        pictures, labels
    )
    expected, was = classifier.embed(pictures), classifier.get_params()[name]
    classifier.set_params(**{name: CHANGES[name]})
    for call in (
        lambda: classifier.embed(pictures),
        lambda: classifier.embed_to(pictures, tmp_path / "embeddings.npy"),
        lambda: classifier.forward(pictures),
        lambda: classifier.infer(pictures),
    ):
        with pytest.raises(ValueError, match=f"{name} is .* now.* or call fit again"):
            call()
    classifier.set_params(**{name: was}, classes=[0, 1, 2])  # which are no matter here
    np.testing.assert_array_equal(classifier.embed(pictures), expected)


def test_parameters_that_do_not_matter_for_prediction(make, pictures, labels):
    classifier = make().fit(pictures, labels)
    expected = classifier.predict_proba(pictures)
    classifier.set_params(
        device="auto",
        verbose=1,
        cache=None,
        batch_size=5,
        n_threads=1,
        C=1.0,
        lr=0.1,
        max_epochs=2,
        random_state=3,
        image_size=np.int64(32),
    )
    np.testing.assert_allclose(classifier.predict_proba(pictures), expected, rtol=1e-4)
