"""Training on pictures that change at random; scoring on them as they are."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from modAL.models import ActiveLearner
from modAL.uncertainty import uncertainty_sampling
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader

from modal_pretrain import PretrainedClassifier
from modal_pretrain.modality import Modality
from modal_pretrain.training.staged import StagedSet


class Seen(nn.Module):
    """A backbone that notes what it is given, in training and else."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 6, 4, stride=4)
        self.given = {True: [], False: []}

    def forward(self, x):
        self.given[self.training].append(x.detach().clone())
        return self.layer(x).mean(dim=(2, 3))


def seen(classifier, training):
    return torch.cat(classifier.module_.backbone.given[training]).numpy()


def make(**params):
    torch.manual_seed(0)
    given = {"tune": "all", "augment": True, "max_epochs": 3, "batch_size": 8}
    given |= {"image_size": 32, "random_state": 0, "stop_loss": None}
    return PretrainedClassifier(Seen, pretrained=False, **(given | params))


def brighter(picture):
    return (picture // 2) + torch.randint(100, (), dtype=torch.uint8)


both = pytest.mark.parametrize(
    "augment", ["crop-flip", brighter], ids=["crop-flip", "function"]
)


@both
def test_training_sees_others_each_epoch_and_scoring_the_pictures(
    pictures, labels, augment
):
    classifier = make(augment=augment).fit(pictures, labels)
    plain = make(augment=False).fit(pictures, labels)
    trained = seen(classifier, True)
    assert trained.shape == (3 * 24, 3, 32, 32)
    # Of 32 crops of a picture two may be the same by chance.
    assert len(np.unique(trained.reshape(72, -1), axis=0)) > 60
    for each in (classifier, plain):
        each.module_.backbone.given[False].clear()
        each.predict(pictures)
    np.testing.assert_array_equal(seen(classifier, False), seen(plain, False))


def losses(classifier):
    return classifier.history[:, "train_loss"]


@both
def test_random_state_decides(pictures, labels, augment):
    first = make(augment=augment).fit(pictures, labels)
    again = make(augment=augment).fit(pictures, labels)
    assert losses(first) == losses(again)
    assert losses(first) == losses(first.fit(pictures, labels))
    other = make(augment=augment, random_state=1).fit(pictures, labels)
    assert losses(first) != losses(other)
    assert losses(first) != losses(make(augment=False).fit(pictures, labels))


def test_off_is_as_it_was(pictures, labels):
    state = torch.random.get_rng_state()
    classifier = make(augment=False).fit(pictures, labels)
    assert torch.equal(torch.random.get_rng_state(), state)
    rows = seen(classifier, True).reshape(3, 24, -1)
    for epoch in rows[1:]:
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(rows[0], axis=0))


@both
@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_and_threads_change_nothing(paths, labels, augment, n_workers):
    loader = {"augment": augment, "iterator_train": DataLoader}
    expected = make(**loader, n_threads=1).fit(paths, labels)
    workers = {"num_workers": n_workers, "multiprocessing_context": "fork"}
    workers = {f"iterator_train__{name}": value for name, value in workers.items()}
    found = make(**loader, **workers, n_threads=4).fit(paths, labels)
    assert losses(found) == losses(expected)


@both
def test_batches_change_nothing(paths, labels, augment):
    params = {"augment": augment, "iterator_train__shuffle": False, "max_epochs": 1}
    found = make(**params, batch_size=5).fit(paths, labels)
    expected = make(**params, batch_size=24, n_threads=4).fit(paths, labels)
    np.testing.assert_array_equal(seen(found, True), seen(expected, True))


def test_too_many_to_keep_are_the_same(paths, labels, monkeypatch):
    expected = make().fit(paths, labels)
    monkeypatch.setattr("modal_pretrain.training.examples._KEEP_BYTES", 0)
    assert losses(make().fit(paths, labels)) == losses(expected)


def test_validation_is_scored_as_it_is(pictures, labels):
    given = {}
    for augment in (True, False):
        classifier = make(train_split=ValidSplit(4, stratified=True), augment=augment)
        classifier.fit(pictures, labels)
        given[augment] = seen(classifier, False)
        assert len(seen(classifier, True)) == 3 * 18
    # Six rows an epoch, and one at the start.
    assert len(given[True]) == 3 * 6 + 1
    np.testing.assert_array_equal(given[True], given[False])


@pytest.mark.parametrize(
    "params, weights",
    [
        ({}, np.linspace(0.5, 2, 24)),
        ({"class_weight": "balanced"}, np.arange(24) % 3),
        ({"error_weighting": 4.0}, None),
        ({"error_weighting": 4.0, "train_split": ValidSplit(4)}, np.arange(24) + 1.0),
    ],
    ids=["rows", "rows and classes", "errors", "errors and a split"],
)
def test_with_weights(pictures, labels, params, weights):
    classifier = make(**params).fit(pictures, labels, sample_weight=weights)
    again = make(**params).fit(pictures, labels, sample_weight=weights)
    assert losses(classifier) == losses(again)
    plain = make(**params, augment=False)
    assert losses(classifier) != losses(
        plain.fit(pictures, labels, sample_weight=weights)
    )
    assert np.isfinite(losses(classifier)).all()


def test_partial_fit_and_modal(pictures, labels):
    classifier = make(classes=[0, 1]).partial_fit(pictures[:8], labels[:8])
    classifier.partial_fit(pictures[8:], labels[8:])
    assert len(seen(classifier, True)) == 72
    learner = ActiveLearner(make(), uncertainty_sampling, pictures[:8], labels[:8])
    rows, _ = learner.query(pictures[8:], n_instances=2)
    learner.teach(pictures[8:][rows], labels[8:][rows])
    assert learner.predict(pictures).shape == (24,)


def test_clone_set_params_and_files(pictures, labels, tmp_path):
    classifier = make(augment=brighter).fit(pictures, labels)
    assert clone(classifier).augment is brighter
    assert pickle.loads(pickle.dumps(classifier)).augment is brighter
    joblib.dump(classifier, tmp_path / "c.joblib")
    loaded = joblib.load(tmp_path / "c.joblib")
    np.testing.assert_array_equal(
        loaded.predict_proba(pictures), classifier.predict_proba(pictures)
    )
    # Learnt weights do not depend on what the next fit does.
    loaded.set_params(augment=False).predict(pictures)
    assert losses(loaded.fit(pictures, labels)) == losses(
        make(augment=False).fit(pictures, labels)
    )


class Batches(Callback):
    def on_train_begin(self, net, **kwargs):
        self.names = set()

    def on_batch_begin(self, net, batch, training, **kwargs):
        self.names |= set(batch[0])


def test_frozen_stages_are_kept_for_the_pool_alone(pictures, labels):
    params = {"image_size": 32, "tune": 1, "max_steps": 2, "random_state": 0}

    def fitted(**more):
        classifier = PretrainedClassifier(
            **params, callbacks=[("batches", Batches())], **more
        ).fit(pictures, labels)
        return dict(classifier.callbacks_)["batches"].names, classifier

    assert fitted()[0] == {"features", "cut"}
    names, classifier = fitted(augment=True)
    assert names == {"inputs"}
    assert isinstance(classifier.get_dataset(pictures), StagedSet)


def test_refused_where_nothing_could_change(pictures, labels):
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=r"augment=True .* tune='head' freezes"):
            getattr(make(tune="head"), method)(pictures, labels)
    table = np.random.default_rng(0).normal(size=(24, 5))
    with pytest.raises(ValueError, match="is for pictures, but X is a table"):
        PretrainedClassifier(
            lambda: nn.Linear(5, 4), pretrained=False, tune="all", augment=True
        ).fit(table, labels)
    for X in pictures, table:
        weightless = PretrainedClassifier(
            nn.Flatten, pretrained=False, tune="all", augment=True, image_size=32
        )
        with pytest.raises(ValueError, match=r"backbone=.*Flatten.* has no weights"):
            weightless.fit(X, labels)


def test_errors_of_the_function_leave_the_classifier_as_it_was(pictures, labels):
    classifier = make(augment=False).fit(pictures, labels)
    before = classifier.predict_proba(pictures)
    classifier.set_params(augment=lambda picture: picture[:, 1:])
    with pytest.raises(ValueError, match=r"augment must return .* \(3, 32, 32\)"):
        classifier.fit(pictures, labels)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), before)


def test_a_modality_without_augmentation_says_so():
    class Sounds(Modality):
        name = "sounds"
        read = backbone = encoder = examples = classifier = show = None

    with pytest.raises(ValueError, match="modality 'sounds' has no augmentation"):
        Sounds().augmented(None, True)


def test_workers_that_stay_see_others_each_epoch(pictures, labels):
    loader = {"num_workers": 1, "multiprocessing_context": "fork"}
    loader |= {"persistent_workers": True, "shuffle": False}
    params = {f"iterator_train__{name}": value for name, value in loader.items()}
    classifier = make(iterator_train=DataLoader, **params).fit(pictures, labels)
    rows = seen(classifier, True).reshape(3, 24, -1)
    assert not any(np.array_equal(rows[0], epoch) for epoch in rows[1:])
