"""Defaults, and what a second fit starts from."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.backbones.fingerprint import fingerprint
from modal_pretrain.backbones.shared import shared_backbone
from tests.classifier.cases import (
    DEFAULT,
    KINDS,
    TRAINED,
    kinds,
)


def test_no_argument_is_required(pictures, labels):
    classifier = PretrainedClassifier().fit(pictures, labels)
    proba = classifier.predict_proba(pictures)
    assert proba.shape == (24, 2)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    assert classifier.score(pictures, labels) > 0.9
    assert classifier.embed(pictures[:2]).shape == (2, 1280)
    assert classifier.module_.backbone.weights_source.startswith("package")


@kinds
def test_learns(make, pictures, labels, kind):
    params = {**KINDS[kind], "max_steps": 60}
    classifier = make(**params).fit(pictures[:16], labels[:16])
    assert classifier.score(pictures[16:], labels[16:]) >= 0.75


@kinds
def test_fit_twice_agrees_exactly(make, pictures, labels, kind):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    first = classifier.predict_proba(pictures)
    state = copy.deepcopy(classifier.module_.state_dict())
    classifier.fit(pictures[::3], labels[::3])
    assert (classifier.predict_proba(pictures) != first).any()
    classifier.fit(pictures, labels)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), first)
    again = classifier.module_.state_dict()
    assert all(torch.equal(state[key], again[key]) for key in state)
    other = make(**KINDS[kind]).fit(pictures, labels)
    np.testing.assert_array_equal(other.predict_proba(pictures), first)


def test_random_state_none_draws_one_seed_for_all_fits(make, pictures, labels):
    params = {**KINDS["all"], "random_state": None}
    classifier = make(**params).fit(pictures, labels)
    first = classifier.predict_proba(pictures)
    classifier.fit(pictures, labels)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), first)
    other = make(**params).fit(pictures, labels)
    assert (other.predict_proba(pictures) != first).any()


def test_random_state_none_follows_numpy_as_in_scikit_learn(make, pictures, labels):
    def fit():
        np.random.seed(4)  # noqa: NPY002
        classifier = make(**{**KINDS["all"], "random_state": None})
        return classifier.fit(pictures, labels).predict_proba(pictures)

    np.testing.assert_array_equal(fit(), fit())


def test_random_state_may_be_a_generator_object(make, pictures, labels):
    def fit():
        classifier = make(**KINDS["all"])
        classifier.set_params(random_state=np.random.RandomState(3))
        classifier.fit(pictures, labels).fit(pictures, labels)
        return classifier.predict_proba(pictures)

    np.testing.assert_array_equal(fit(), fit())


def test_random_state_set_anew_counts_from_the_next_fit(make, pictures, labels):
    classifier = make(**KINDS["all"]).fit(pictures, labels)
    first = classifier.predict_proba(pictures)
    classifier.set_params(random_state=1).fit(pictures, labels)
    assert (classifier.predict_proba(pictures) != first).any()
    classifier.set_params(random_state=0).fit(pictures, labels)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), first)


@kinds
def test_clone_is_unfitted_and_starts_from_the_initial_weights(
    make, pictures, labels, kind
):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    copied = clone(classifier)
    assert not hasattr(copied, "module_")
    assert not hasattr(copied, "classes_")
    for method in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(copied, method)(pictures)
    before, after = classifier.get_params(), copied.get_params()
    assert before.keys() == after.keys()
    assert before["tune"] == after["tune"]
    initial = make(**KINDS[kind]).embed(pictures)
    np.testing.assert_array_equal(copied.embed(pictures), initial)
    copied.fit(pictures, labels)
    np.testing.assert_array_equal(
        copied.predict_proba(pictures), classifier.predict_proba(pictures)
    )


@pytest.mark.parametrize("tune", ["all", 1, 2])
def test_fit_starts_from_the_initial_weights(make, pictures, labels, tune):
    classifier = make(**{**TRAINED, "tune": tune})
    initial = classifier.embed(pictures)
    starts = []

    class Start(Callback):
        def on_train_begin(self, net, **kwargs):
            starts.append(fingerprint(net.module_.backbone))

    classifier.set_params(callbacks=[Start()])
    for _ in range(3):
        classifier.fit(pictures, labels)
        assert (classifier.embed(pictures) != initial).any()
    assert len(set(starts)) == 1
    classifier.partial_fit(pictures, labels)
    assert len(set(starts)) == 2
    np.testing.assert_array_equal(make(**TRAINED).embed(pictures), initial)


@pytest.mark.parametrize("tune, moved", [(1, {"4"}), (2, {"2", "4"})])
def test_only_the_last_stages_move(make, pictures, labels, tune, moved):
    def three_stages():
        return nn.Sequential(
            nn.Conv2d(3, 4, 4, stride=4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Sequential(nn.Flatten(), nn.Linear(4, 5)),
        )

    params = {**TRAINED, "backbone": three_stages, "tune": tune}
    classifier = make(**params, lr=0.1).fit(pictures, labels)
    initial = shared_backbone(three_stages, False, classifier.seed_).state_dict()
    state = classifier.module_.backbone.state_dict()
    differing = {key[0] for key in state if not torch.equal(state[key], initial[key])}
    assert differing == moved


def test_whole_default_backbone_trains(make, pictures, labels):
    classifier = make(tune="all", max_steps=5, lr=0.05).fit(pictures, labels)
    trained = dict(classifier.module_.backbone.named_parameters())
    initial = dict(shared_backbone(DEFAULT, True, 0).named_parameters())
    moved = [name for name in trained if not torch.equal(trained[name], initial[name])]
    assert len(moved) > 0.9 * len(trained)
    # Statistics of pretraining stay.
    buffers = dict(classifier.module_.backbone.named_buffers())
    for name, value in shared_backbone(DEFAULT, True, 0).named_buffers():
        assert torch.equal(value, buffers[name]), name


@kinds
def test_partial_fit_continues(make, pictures, labels, kind):
    classifier = make(**KINDS[kind]).fit(pictures[:12], labels[:12])
    n_epochs = len(classifier.history)
    loss = classifier.history[-1, "train_loss"]
    classifier.partial_fit(pictures[:12], labels[:12])
    assert len(classifier.history) > n_epochs
    assert classifier.history[n_epochs, "train_loss"] < loss + 0.05
    # As if it had been done in one go: the same calls give the same weights.
    other = make(**KINDS[kind]).fit(pictures[:12], labels[:12])
    other.partial_fit(pictures[:12], labels[:12])
    np.testing.assert_array_equal(
        classifier.predict_proba(pictures), other.predict_proba(pictures)
    )


def test_partial_fit_remembers(make, pictures, labels):
    def weights(classifier):
        return classifier.module_.head.weight.detach().clone().flatten()

    classifier = make(classes=[0, 1]).fit(pictures[:8], labels[:8])
    before = weights(classifier)
    opposite = pictures[8:10], 1 - labels[8:10]
    after = weights(classifier.partial_fit(*opposite))
    fresh = weights(make(classes=[0, 1]).fit(*opposite))
    assert (after != before).any()
    near, far = (torch.cosine_similarity(w, before, dim=0) for w in (after, fresh))
    assert near > 0 > far


def test_classes_of_the_call_are_among_those_of_the_estimator(make, pictures, labels):
    classifier = make(classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"the call names \[3\], which .*\[0, 1, 2\]"):
        classifier.partial_fit(pictures, labels, classes=[0, 1, 3])
    classifier.partial_fit(pictures, labels, classes=[0, 1])
    assert classifier.classes_.tolist() == [0, 1, 2]


def test_partial_fit_first(make, pictures, labels):
    classifier = make().partial_fit(pictures[:3], labels[:3], classes=[0, 1, 2])
    assert classifier.predict_proba(pictures).shape == (24, 3)
    classifier.partial_fit(pictures[:3], labels[:3] + 1)
    classifier.partial_fit(pictures[:3], labels[:3], classes=[2, 1, 0])
    with pytest.raises(ValueError, match=r"classes=\[0, 1\] differs from the first"):
        classifier.partial_fit(pictures[:3], labels[:3], classes=[0, 1])
    with pytest.raises(ValueError, match=r"labels \[7\], which are not among"):
        classifier.partial_fit(pictures[:1], [7])


def test_warm_start_continues(make, pictures, labels):
    warm = make(**KINDS["all"], warm_start=True).fit(pictures, labels)
    n_epochs = len(warm.history)
    warm.fit(pictures, labels)
    assert len(warm.history) == 2 * n_epochs
    cold = make(**KINDS["all"]).fit(pictures, labels).fit(pictures, labels)
    assert len(cold.history) == n_epochs
    with pytest.raises(ValueError, match=r"labels \[5\], which are not among"):
        warm.fit(pictures, np.where(labels, 5, 0))


@pytest.mark.parametrize("kind", ["dropout", "all"])
def test_fits_in_threads_agree_with_those_in_turn(make, pictures, labels, kind):
    params = {**KINDS[kind], "max_epochs": 8}

    def fit(seed):
        fitted = make(**{**params, "random_state": seed}).fit(pictures, labels)
        return fitted.predict_proba(pictures)

    expected = [fit(seed) for seed in range(4)]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fit, [*range(4)] * 2))
    np.testing.assert_array_equal(found, expected * 2)
    assert torch.equal(torch.get_rng_state(), before)
