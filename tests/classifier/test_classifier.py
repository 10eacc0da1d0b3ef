"""PretrainedClassifier: fitting, labels, errors, skorch's and scikit-learn's ways."""

import copy
import io
import pickle
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, Checkpoint, EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn

from modal_pretrain import EmbeddingCache, ImageLoadError, PretrainedClassifier
from modal_pretrain.backbones.fingerprint import fingerprint
from modal_pretrain.backbones.shared import shared_backbone
from modal_pretrain.training.network import PretrainedNetwork


def tiny(pretrained=False):
    """A backbone whose training takes no time, with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 16),
    )


DEFAULT = "tf_efficientnet_lite0"
TRAINED = {"backbone": tiny, "pretrained": False, "max_steps": 6}
KINDS = {
    "head": {},
    "dropout": {"module__dropout": 0.3, "max_epochs": 5},
    "all": {**TRAINED, "tune": "all"},
    "last": {**TRAINED, "tune": 1},
}
kinds = pytest.mark.parametrize("kind", KINDS)


def pixels_of(X):
    """The pictures as float32 (n, 3, h, w) in [0, 1]."""
    return X.transpose(0, 3, 1, 2) / np.float32(255)


# Defaults -----------------------------------------------------------------------------


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


# Refits -------------------------------------------------------------------------------


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


# The head -----------------------------------------------------------------------------


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


# Labels -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ["no", "yes"],
        np.array(["no", "yes"], dtype=object),
        [False, True],
        [-3, 7],
        [0.0, 1.0],
        [5.0, 2.0],
        ["a much longer label", "b"],
        np.array([3, 200], dtype=np.uint8),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["head", "all"])
def test_kinds_of_labels(make, pictures, labels, names, kind):
    y = np.asarray(names)[labels]
    classifier = make(**KINDS[kind]).fit(pictures, y)
    assert classifier.classes_.tolist() == sorted(set(y.tolist()))
    predicted = classifier.predict(pictures)
    assert predicted.dtype == y.dtype
    proba = classifier.predict_proba(pictures)
    np.testing.assert_array_equal(predicted, classifier.classes_[proba.argmax(1)])
    if kind == "head":
        assert (predicted == y).mean() > 0.9


@pytest.mark.parametrize(
    "wrap",
    [list, tuple, pd.Series, torch.tensor, partial(pd.Series, index=range(50, 74))],
)
def test_containers_of_labels(make, pictures, labels, wrap):
    classifier = make().fit(pictures, wrap(labels.tolist()))
    expected = make().fit(pictures, labels)
    np.testing.assert_array_equal(
        classifier.predict_proba(pictures), expected.predict_proba(pictures)
    )


@pytest.mark.parametrize("dtype", ["category", None])
def test_pandas_labels(make, pictures, labels, dtype):
    y = pd.Series(np.array(["no", "yes"])[labels], dtype=dtype)
    predicted = make().fit(pictures, y).predict(pictures)
    assert (predicted == y.to_numpy()).mean() > 0.9


def test_column_of_labels_warns(make, pictures, labels):
    with pytest.warns(Warning, match="A column-vector y was passed"):
        make().fit(pictures, labels[:, None])


@pytest.mark.parametrize("kind", ["head", "all"])
def test_classes_missing_from_the_seed_set(make, pictures, labels, kind):
    y = np.array(["b", "d"])[labels]
    classifier = make(**KINDS[kind], classes=["d", "c", "b", "a"])
    assert classifier.classes_.tolist() == list("abcd")
    classifier.fit(pictures, y)
    proba = classifier.predict_proba(pictures)
    assert proba.shape == (24, 4)
    assert (proba > 0).all()
    if kind == "head":
        assert set(classifier.predict(pictures)) == {"b", "d"}
        assert (proba[:, [0, 2]].max(axis=1) < proba[:, [1, 3]].max(axis=1)).all()
        np.testing.assert_allclose(proba[:, 0], proba[:, 2], rtol=1e-3)


@pytest.mark.parametrize(
    "classes, y, unseen",
    [
        ([0, 1], [0, 1, 2, 2], r"\[2\].*\[0, 1\]"),
        (["a", "b"], ["a", "z", "b", "y"], r"\['y', 'z'\].*\['a', 'b'\]"),
        ([0, 1], ["a", "b", "a", "b"], r"\['a', 'b'\].*\[0, 1\]"),
        (["a", "b"], [0, 1, 0, 1], r"\[0, 1\].*\['a', 'b'\]"),
        ([1, 2], [0, 1, 2, 1], r"\[0\].*\[1, 2\]"),
    ],
)
def test_labels_that_are_no_classes(make, pictures, classes, y, unseen):
    with pytest.raises(ValueError, match=rf"labels {unseen}\. Name all labels"):
        make(classes=classes).fit(pictures[:4], y)


def test_no_classes_at_all(make, pictures, labels):
    with pytest.raises(ValueError, match="classes is empty"):
        make(classes=[]).fit(pictures, labels)


def test_classes_before_fit(make):
    assert not hasattr(make(), "classes_")
    assert make(classes=["z", "a"]).classes_.tolist() == ["a", "z"]


def test_classes_set_anew_count_from_the_next_fit(make, pictures, labels):
    classifier = make().fit(pictures, labels)
    classifier.set_params(classes=[0, 1, 2])
    assert classifier.classes_.tolist() == [0, 1]
    assert classifier.predict_proba(pictures).shape == (24, 2)
    classifier.fit(pictures, labels)
    assert classifier.predict_proba(pictures).shape == (24, 3)


@kinds
def test_seed_set_of_one_class(make, pictures, kind):
    one = make(**KINDS[kind]).fit(pictures[:4], ["x"] * 4)
    assert one.predict_proba(pictures).tolist() == [[1.0]] * 24
    assert set(one.predict(pictures)) == {"x"}
    classes = ["w", "x", "y"]
    known = make(**KINDS[kind], classes=classes).fit(pictures[:4], ["x"] * 4)
    assert known.predict_proba(pictures[:4]).shape == (4, 3)
    assert (known.predict(pictures[:4]) == "x").mean() > 0.5


@pytest.mark.parametrize("kind", ["head", "all", "last"])
@pytest.mark.parametrize("n", [1, 2])
def test_very_few_labels(make, pictures, labels, kind, n):
    classifier = make(**KINDS[kind], classes=[0, 1]).fit(pictures[:n], labels[:n])
    assert np.isfinite(classifier.predict_proba(pictures)).all()


def test_class_weight(make, pictures):
    y = (np.arange(24) >= 20).astype(int)
    shares = [
        make(class_weight=weight).fit(pictures, y).predict_proba(pictures)[:, 1].mean()
        for weight in (None, "balanced", {0: 1, 1: 100})
    ]
    assert shares[0] < shares[1] - 0.05 < shares[2]


def test_class_weight_of_a_class_that_is_missing(make, pictures, labels):
    weights = {0: 1.0, 1: 2.0, 2: 5.0}
    classifier = make(classes=[0, 1, 2], class_weight=weights).fit(pictures, labels)
    assert classifier.predict_proba(pictures).shape == (24, 3)


@pytest.mark.parametrize(
    "class_weight, match", [("heavy", "class_weight"), ({5: 1.0}, "class_weight")]
)
def test_bad_class_weight(make, pictures, labels, class_weight, match):
    with pytest.raises(ValueError, match=match):
        make(class_weight=class_weight).fit(pictures, labels)


def test_class_weight_needs_a_criterion_with_weights(make, pictures, labels):
    class Plain(nn.Module):
        def forward(self, logits, y):
            return nn.functional.cross_entropy(logits, y)

    with pytest.raises(ValueError, match="needs a criterion with weights like Cross"):
        make(criterion=Plain, class_weight="balanced").fit(pictures, labels)


# Errors reach the user ----------------------------------------------------------------


def bad_pictures(X, what):
    floats = pixels_of(X)
    if what in ("nan", "inf", "-inf"):
        floats[5, 1, 2, 3] = float(what)
        return floats
    return {
        "0-255 floats": floats * 255,
        "channels last floats": X / np.float32(255),
        "channels first uint8": X.transpose(0, 3, 1, 2),
        "five channels": np.zeros((24, 8, 8, 5), np.uint8),
        "int64": X.astype(np.int64),
        "complex": floats.astype(complex),
        "one dimension": np.zeros(24),
        "one picture": X[0],
        "empty": X[:0],
        "mixed": [*X[:23], "a.png"],
        "None": None,
        "number": 3,
        "words": np.array([["a", "b"]] * 24),
    }[what]


BAD = {
    "nan": "NaN",
    "inf": "inf",
    "-inf": "inf",
    "0-255 floats": r"255|\[0, 1\]",
    "channels last floats": r"transpose|n, 3, h, w",
    "channels first uint8": r"transpose|n, h, w, 3",
    "five channels": "shape|channels",
    "int64": "int64|uint8",
    "complex": "complex",
    "one dimension": "shape|dtype|table|pictures",
    "one picture": "shape",
    "empty": "0 sample|empty",
    "mixed": "mixes kinds",
    "None": "NoneType",
    "number": "int",
    "words": "words|str|path|pictures",
}


@pytest.mark.parametrize("what", BAD)
def test_bad_pictures_are_refused_everywhere(make, pictures, labels, what):
    X = bad_pictures(pictures, what)
    fitted = make().fit(pictures, labels)
    calls = [
        lambda: make().fit(X, labels),
        lambda: make().partial_fit(X, labels),
        lambda: fitted.predict(X),
        lambda: fitted.predict_proba(X),
        lambda: fitted.embed(X),
        lambda: fitted.score(X, labels),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError), match=BAD[what]):
            call()


@pytest.mark.parametrize("kind", ["head", "all"])
def test_bad_files_are_named(make, paths, labels, kind):
    fitted = make(**KINDS[kind]).fit(paths, labels)
    Path(paths[5]).write_bytes(b"no picture")
    Path(paths[7]).unlink()
    for call in (fitted.predict_proba, lambda X: make(**KINDS[kind]).fit(X, [0] * 4)):
        with pytest.raises(ImageLoadError, match=r"X\[1\].*05\.png"):
            call(paths[4:8][[0, 1, 2, 0]])
        with pytest.raises(ImageLoadError, match=r"X\[3\].*07\.png"):
            call(paths[[4, 6, 4, 7]])


@pytest.mark.parametrize(
    "y, match",
    [
        (None, "requires y to be passed"),
        (np.zeros(23), r"inconsistent numbers of samples: \[24, 23\]"),
        (np.array([0.0, np.nan] * 12), "contains NaN"),
        (np.array([0.0, np.inf] * 12), "infinity"),
        (np.array(["a", None] * 12, dtype=object), "missing labels"),
        (np.array(["a", np.nan] * 12, dtype=object), "missing labels"),
        (pd.Series(["a", None] * 12), "missing labels"),
        (np.linspace(0, 1, 24), "continuous"),
        (np.zeros((24, 2)), "1d array"),
        (np.eye(24), "1d array"),
        (3, "1d array"),
        (np.array([1, "a"] * 12, dtype=object), "label type"),
        (np.array([1j, 0] * 12), r"(?i)complex|label type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_labels(make, pictures, y, match, method):
    with pytest.raises(ValueError, match=match):
        getattr(make(), method)(pictures, y)


@pytest.mark.parametrize("C", [0, -1.0, "1", None, np.nan, [1.0]])
def test_bad_c(make, pictures, labels, C):
    with pytest.raises(ValueError, match="C must be a positive number"):
        make(C=C).fit(pictures, labels)


@pytest.mark.parametrize("tune", [0, -1, 9, True, 1.5, None, "first", "ALL"])
def test_bad_tune_names_the_range(make, pictures, labels, tune):
    with pytest.raises(ValueError, match=r"'all', or the number.* from 1 to 8 for Eff"):
        make(tune=tune).fit(pictures, labels)


@pytest.mark.parametrize("batch_size", [0, -2, 1.5, None, "all"])
def test_bad_batch_size(make, pictures, labels, batch_size):
    with pytest.raises(ValueError, match="batch_size must be a positive int, or -1"):
        make(batch_size=batch_size).fit(pictures, labels)


@pytest.mark.parametrize(
    "params, match",
    [
        ({"precision": "half"}, "precision must be 'auto', 'float32'"),
        ({"device": "gpu"}, "device must be 'auto' or one of PyTorch's"),
        ({"device": None}, "device must be 'auto' or one of PyTorch's"),
        ({"cache": 3}, "cache must be 'memory', None"),
        ({"image_size": 0}, "image_size must be a positive int"),
        ({"image_size": "large"}, "image_size must be a positive int"),
        ({"n_threads": 0}, "n_threads must be at least 1"),
        ({"random_state": "x"}, "cannot be used to seed"),
        ({"backbone": "efficientnet_lite"}, "is not a timm model"),
        ({"module__dropout": 1.5}, "dropout probability has to be between 0 and 1"),
    ],
    ids=str,
)
def test_bad_parameters(make, pictures, labels, params, match):
    with pytest.raises(ValueError, match=match):
        make(**params, **({} if "cache" in params else {"cache": None})).fit(
            pictures, labels
        )


@pytest.mark.parametrize(
    "params", [{"imagesize": 3}, {"optimizer_lr": 0.1}, {"module__droput": 0.1}]
)
def test_misspelt_parameters(make, pictures, labels, params):
    (name,) = params
    with pytest.raises((ValueError, TypeError), match=name.split("__")[-1]):
        make(**params).fit(pictures, labels)


def test_errors_before_fit(make, pictures, labels):
    for method in ("predict", "predict_proba", "infer"):
        for classifier in (make(), make().initialize()):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                getattr(classifier, method)(pictures)
    assert make().embed(pictures).shape == (24, 1280)


def test_failed_fit_leaves_no_half_trained_estimator(make, paths, labels):
    Path(paths[3]).write_bytes(b"no picture")
    classifier = make(classes=[0, 1]).fit(paths[5:], labels[5:])
    with pytest.raises(ImageLoadError):
        classifier.fit(paths, labels)
    with pytest.raises(NotFittedError):
        classifier.predict(paths[5:])
    classifier.fit(paths[5:], labels[5:])
    expected = make(classes=[0, 1]).fit(paths[5:], labels[5:])
    np.testing.assert_array_equal(
        classifier.predict_proba(paths[5:]), expected.predict_proba(paths[5:])
    )


# Kinds of X ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["head", "all"])
def test_every_kind_of_x_gives_the_same_classifier(make, pictures, labels, paths, kind):
    pil = [Image.fromarray(picture) for picture in pictures]
    params = {**KINDS[kind], "cache": None}
    expected = make(**params).fit(pictures, labels).predict_proba(pictures)
    for X in (
        paths,
        paths.tolist(),
        list(map(Path, paths)),
        pil,
        pixels_of(pictures),
        torch.tensor(pictures),
        pd.Series(paths),
    ):
        classifier = make(**params).fit(X, labels)
        np.testing.assert_array_equal(classifier.predict_proba(X), expected)


@pytest.mark.parametrize("kind", ["head", "all"])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 24, -1])
def test_batch_sizes_with_a_last_batch_of_one(make, pictures, labels, kind, batch_size):
    params = {**KINDS[kind], "batch_size": batch_size}
    classifier = make(**params).fit(pictures, labels)
    proba = classifier.predict_proba(pictures)
    assert proba.shape == (24, 2)
    for k in (1, 11, 23):
        np.testing.assert_allclose(
            classifier.predict_proba(pictures[:k]), proba[:k], atol=1e-4
        )


def test_rows_do_not_influence_each_other(make, pictures, labels):
    classifier = make(**KINDS["all"]).fit(pictures, labels)
    order = np.random.default_rng(0).permutation(24)
    np.testing.assert_allclose(
        classifier.predict_proba(pictures[order]),
        classifier.predict_proba(pictures)[order],
        atol=1e-6,
    )


def test_tables(make):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    classifier = make(backbone=nn.Identity, pretrained=False, C=1.0).fit(X, y)
    assert classifier.score(X, y) > 0.9
    assert classifier.n_features_in_ == 3
    with pytest.raises(ValueError, match="X has 2 features, but PretrainedClassifier"):
        classifier.predict(X[:, :2])
    frame = pd.DataFrame(X, columns=list("abc"))
    assert (classifier.fit(frame, y).predict(frame) == classifier.predict(frame)).all()


def test_vision_transformer_at_another_size(make, pictures, labels):
    for tune in ("head", 1):
        classifier = make(
            backbone="vit_tiny_patch16_224", pretrained=False, tune=tune, max_steps=2
        ).fit(pictures, labels)
        assert classifier.predict_proba(pictures).shape == (24, 2)


# The embeddings -----------------------------------------------------------------------


def test_refit_looks_embeddings_up(make, pictures, labels, cache):
    classifier = make(cache=cache).fit(pictures[:10], labels[:10])
    assert cache.info()["misses"] == 10
    classifier.predict_proba(pictures)
    assert cache.info()["misses"] == 24
    for n in (12, 20):
        classifier.fit(pictures[:n], labels[:n]).predict_proba(pictures[n:])
    clone(classifier).fit(pictures, labels)
    assert cache.info()["misses"] == 24
    no_cache = make(cache=None).fit(pictures[:10], labels[:10])
    np.testing.assert_allclose(  # rows were embedded in other batches
        no_cache.predict_proba(pictures),
        classifier.fit(pictures[:10], labels[:10]).predict_proba(pictures),
        atol=1e-4,
    )


def test_training_backbone_does_not_use_the_cache(make, pictures, labels, cache):
    classifier = make(**KINDS["all"], cache=cache).fit(pictures, labels)
    classifier.predict_proba(pictures)
    assert cache.info()["rows"] == 0
    embedding = classifier.embed(pictures)
    classifier.partial_fit(pictures, labels)
    assert (classifier.embed(pictures) != embedding).any()


def test_embedding_is_the_backbones(make, pictures, labels):
    classifier = make(cache=None)
    before = classifier.embed(pictures)
    assert before.dtype == np.float32
    classifier.fit(pictures, labels)
    np.testing.assert_array_equal(classifier.embed(pictures), before)
    logits = classifier.infer(pictures).detach()
    with torch.no_grad():
        expected = classifier.module_(embedding=torch.from_numpy(before))
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("tune", ["head", "all"])
def test_reduced_precision_is_close(make, pictures, labels, tune):
    params = {"tune": tune, "max_steps": 2, "C": 0.05}
    exact = make(**params).fit(pictures, labels).predict_proba(pictures)
    reduced = make(**params, precision="bfloat16").fit(pictures, labels)
    proba = reduced.predict_proba(pictures)
    assert (proba != exact).any()
    assert np.abs(proba - exact).max() < 0.05


# Training: optimizers, splits, callbacks, interruption --------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"optimizer": torch.optim.Adam, "lr": 0.01, "max_epochs": 7},
        {"optimizer": torch.optim.SGD, "max_epochs": 7, "optimizer__momentum": 0.5},
        {"optimizer": torch.optim.AdamW, "lr": 0.1, "max_epochs": 7, "batch_size": 5},
        {"max_epochs": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["head", "all"])
def test_optimizers(make, pictures, labels, kind, params):
    params = {**KINDS[kind], "stop_loss": None, **params}
    classifier = make(**params).fit(pictures, labels)
    assert len(classifier.history) == 7
    losses = classifier.history[:, "train_loss"]
    assert np.isfinite(losses).all()
    assert kind == "all" or losses[-1] < losses[0]
    expected = params.get("optimizer")
    assert expected is None or isinstance(classifier.optimizer_, expected)
    group = classifier.optimizer_.param_groups[0]
    if params.get("lr"):
        assert group["lr"] == params["lr"]
    if "optimizer__momentum" in params:
        assert group["momentum"] == 0.5


@pytest.mark.parametrize("kind, n", [("head", 2), ("last", 4), ("all", 8)])
def test_optimizer_gets_what_trains(make, pictures, labels, kind, n):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    (group,) = classifier.optimizer_.param_groups
    assert len(group["params"]) == n
    assert any(p is classifier.module_.head.weight for p in group["params"])


def test_optimizer_parameters_survive_clone_and_set_params(make, pictures, labels):
    def momentum(classifier):
        return classifier.fit(pictures, labels).optimizer_.param_groups[0]["momentum"]

    classifier = make(**KINDS["all"], optimizer__momentum=0.5)
    assert momentum(classifier) == momentum(clone(classifier)) == 0.5
    classifier.set_params(optimizer__momentum=0.25)
    assert classifier.get_params()["optimizer__momentum"] == 0.25
    assert momentum(classifier) == momentum(clone(classifier)) == 0.25
    waiting = make(**KINDS["all"]).initialize()
    waiting.set_params(optimizer__momentum=0.25)
    assert momentum(waiting) == 0.25


def test_set_params_of_a_fitted_classifier(make, pictures, labels):
    classifier = make().fit(pictures, labels)
    classifier.set_params(optimizer=torch.optim.Adam, lr=0.02, max_epochs=3)
    classifier.partial_fit(pictures, labels)
    assert isinstance(classifier.optimizer_, torch.optim.Adam)
    assert classifier.optimizer_.param_groups[0]["lr"] == 0.02
    classifier.set_params(lr=0.03)
    assert classifier.optimizer_.param_groups[0]["lr"] == 0.03
    classifier.set_params(lr="auto").partial_fit(pictures, labels)
    assert classifier.optimizer_.param_groups[0]["lr"] == 0.01
    classifier.set_params(iterator_train__shuffle=False, C=0.1)
    assert classifier.get_params()["iterator_train__shuffle"] is False
    classifier.set_params(module__dropout=0.5, callbacks=[], tune=1, max_steps=1)
    assert not classifier.fit(pictures, labels).module_.frozen
    assert classifier.module_.dropout.p == 0.5


def test_paper_schedule_and_number_of_steps(make, pictures, labels):
    rates = []

    class Watch(Callback):
        def on_batch_end(self, net, training, **kwargs):
            if training:
                rates.append(net.optimizer_.param_groups[0]["lr"])

    classifier = make(**{**KINDS["all"], "max_steps": 10, "batch_size": 12})
    classifier.set_params(stop_loss=None, callbacks=[Watch()])
    classifier.fit(pictures, labels)
    expected = [0.5, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert rates == pytest.approx([0.003 * share for share in expected])
    assert classifier.optimizer_.param_groups[0]["lr"] == 0.003
    assert len(classifier.history) == 5


@pytest.mark.parametrize("stop_loss, n_epochs", [(2.0, 2), (None, 6), (1e-9, 6)])
def test_stop_rule(make, pictures, labels, stop_loss, n_epochs):
    classifier = make(**KINDS["all"], stop_loss=stop_loss).fit(pictures, labels)
    assert len(classifier.history) == n_epochs


@pytest.mark.parametrize("kind", ["head", "all"])
def test_validation_split(make, pictures, labels, kind):
    params = {**KINDS[kind], "optimizer": torch.optim.Adam, "max_epochs": 4}
    y = np.array(["no", "yes"])[labels]
    classifier = make(**params, train_split=ValidSplit(3)).fit(pictures, y)
    row = classifier.history[-1]
    assert {"valid_loss", "valid_acc", "train_loss"} <= set(row)
    assert row["batches"][0]["train_batch_size"] == 16
    # The score in the table is that of the held-out rows.
    predefined = ValidSplit(((np.arange(16), np.arange(16, 24)),))
    classifier.set_params(train_split=predefined).fit(pictures, y)
    accuracy = (classifier.predict(pictures[16:]) == y[16:]).mean()
    assert classifier.history[-1, "valid_acc"] == accuracy


def test_early_stopping_ends_training_normally(make, pictures, labels):
    events = []

    class Watch(Callback):
        def on_train_end(self, net, **kwargs):
            events.append("end")

    stop = EarlyStopping(patience=2, threshold=10.0, sink=lambda text: None)
    classifier = make(
        optimizer=torch.optim.Adam,
        max_epochs=50,
        train_split=ValidSplit(3),
        callbacks=[stop, Watch()],
    ).fit(pictures, labels)
    assert len(classifier.history) == 3
    assert events == ["end"]
    assert classifier.predict(pictures).shape == (24,)


class InterruptedNetwork(PretrainedNetwork):
    """As if Ctrl-C came in the middle of a batch."""

    def forward(self, pixels=None, embedding=None):
        if self.training and self.head.weight.any():
            raise KeyboardInterrupt
        return super().forward(pixels, embedding)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", ["head", "all"])
def test_ctrl_c_is_not_swallowed(make, pictures, labels, kind, method):
    params = {**KINDS[kind], "optimizer": torch.optim.SGD, "max_epochs": 3}
    classifier = make(**params, lr=0.1, module=InterruptedNetwork)
    with pytest.raises(KeyboardInterrupt):
        getattr(classifier, method)(pictures, labels)
    assert classifier.device == "cpu"
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("moment", ["train_begin", "epoch_begin", "batch_end"])
def test_ctrl_c_inside_a_callback(make, pictures, labels, moment):
    class Interrupted(Callback):
        pass

    def interrupt(self, net, **kwargs):
        raise KeyboardInterrupt

    setattr(Interrupted, f"on_{moment}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(callbacks=[Interrupted()]).fit(pictures, labels)


class Doubled(PretrainedNetwork):
    """A user's own network."""

    def __init__(self, backbone, factor=2.0, **kwargs):
        super().__init__(backbone, **kwargs)
        self.factor = factor

    def forward(self, pixels=None, embedding=None):
        return self.factor * super().forward(pixels, embedding)


def test_module_of_the_users(make, pictures, labels):
    classifier = make(module=Doubled, module__factor=3.0).fit(pictures, labels)
    assert classifier.module_.factor == 3.0
    assert classifier.score(pictures, labels) > 0.9
    plain = make().fit(pictures, labels)
    # Fewer weights for the same logits: the penalty bites less.
    assert (
        classifier.predict_proba(pictures).max(1).mean()
        > plain.predict_proba(pictures).max(1).mean()
    )


def test_dropout_of_the_head(make, pictures, labels):
    classifier = make(module__dropout=0.5, max_epochs=3).fit(pictures, labels)
    assert isinstance(classifier.optimizer_, torch.optim.Adam)
    assert classifier.module_.dropout.p == 0.5
    proba = classifier.predict_proba(pictures)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), proba)
    one = torch.cat(list(classifier.forward_iter(pictures, training=True)))
    two = torch.cat(list(classifier.forward_iter(pictures, training=True)))
    assert not torch.equal(one, two)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), proba)
    auto = make(module__dropout=0.5).fit(pictures[:4], labels[:4])
    assert len(auto.history) == 100


def test_other_criteria(make, pictures, labels):
    smooth = make(criterion__label_smoothing=0.3).fit(pictures, labels)
    plain = make().fit(pictures, labels)
    assert (
        smooth.predict_proba(pictures).max(1).mean()
        < plain.predict_proba(pictures).max(1).mean()
    )
    hinge = make(
        criterion=nn.MultiMarginLoss, predict_nonlinearity=partial(torch.softmax, dim=1)
    ).fit(pictures, labels)
    assert hinge.score(pictures, labels) > 0.9
    np.testing.assert_allclose(hinge.predict_proba(pictures).sum(1), 1)


class Mean(nn.Module):
    """A criterion without weights of its own."""

    def forward(self, logits, y):
        return nn.functional.cross_entropy(logits, y)


def test_criterion_of_the_users(make, pictures, labels):
    classifier = make(criterion=Mean).fit(pictures, labels)
    nonlinear = make(criterion=Mean, predict_nonlinearity=lambda x: x.softmax(-1))
    assert nonlinear.fit(pictures, labels).score(pictures, labels) > 0.9
    np.testing.assert_allclose(
        torch.from_numpy(classifier.predict_proba(pictures)).softmax(-1),
        make().fit(pictures, labels).predict_proba(pictures),
        atol=1e-6,
    )


def test_torch_dataloader_as_iterator(make, pictures, labels):
    params = {
        **KINDS["all"],
        "iterator_train": torch.utils.data.DataLoader,
        "iterator_valid": torch.utils.data.DataLoader,
        "iterator_train__drop_last": True,
        "batch_size": 10,
    }
    classifier = make(**params).fit(pictures, labels)
    batches = classifier.history[-1, "batches", :, "train_batch_size"]
    assert batches == [10, 10]
    np.testing.assert_allclose(
        classifier.predict_proba(pictures),
        classifier.set_params(
            iterator_valid=type(make()).__init__.__kwdefaults__["iterator_valid"]
        ).predict_proba(pictures),
        atol=1e-6,
    )


# Saving -------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy"])
def test_round_trip(make, pictures, labels, kind, way, tmp_path):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    expected = classifier.predict_proba(pictures)
    if way == "pickle":
        restored = pickle.loads(pickle.dumps(classifier))
    elif way == "joblib":
        joblib.dump(classifier, tmp_path / "classifier.joblib")
        restored = joblib.load(tmp_path / "classifier.joblib")
    else:
        restored = copy.deepcopy(classifier)
    np.testing.assert_array_equal(restored.predict_proba(pictures), expected)
    assert restored.get_params().keys() == classifier.get_params().keys()
    continued = restored.partial_fit(pictures[:5], labels[:5]).predict_proba(pictures)
    classifier.partial_fit(pictures[:5], labels[:5])
    np.testing.assert_array_equal(classifier.predict_proba(pictures), continued)
    assert (continued != expected).any()
    restored.fit(pictures, labels)
    np.testing.assert_array_equal(restored.predict_proba(pictures), expected)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), continued)


def test_unfitted_round_trip(make, pictures, labels):
    for classifier in (make(), make().initialize()):
        restored = pickle.loads(pickle.dumps(classifier))
        restored.fit(pictures, labels)
        np.testing.assert_array_equal(
            restored.predict_proba(pictures),
            make().fit(pictures, labels).predict_proba(pictures),
        )


def test_device_auto_survives_a_pickle(make, pictures, labels):
    classifier = make(device="auto").fit(pictures, labels)
    restored = pickle.loads(pickle.dumps(classifier))
    assert restored.device == "auto"
    assert restored.predict(pictures).shape == (24,)


def test_cache_of_the_users_in_a_pickle(make, pictures, labels):
    classifier = make(cache=EmbeddingCache(12_345_678)).fit(pictures, labels)
    restored = pickle.loads(pickle.dumps(classifier))
    assert restored.cache.info()["rows"] == 0
    assert restored.cache.max_bytes == 12_345_678
    assert clone(classifier).cache is classifier.cache


@pytest.mark.parametrize("into", ["fitted", "initialized"])
@pytest.mark.parametrize("safe", [False, True])
@kinds
def test_save_and_load_params(make, pictures, labels, kind, into, safe, tmp_path):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    files = {"f_params": tmp_path / "params"}
    if not safe:
        files |= {"f_optimizer": tmp_path / "opt", "f_history": tmp_path / "history"}
    classifier.save_params(**files, use_safetensors=safe)
    other = make(**KINDS[kind], classes=[0, 1])
    if into == "fitted":
        other.fit(pictures[:4], labels[:4])
    else:
        other.initialize()
    other.load_params(**files, use_safetensors=safe)
    np.testing.assert_array_equal(
        other.predict_proba(pictures), classifier.predict_proba(pictures)
    )
    if not safe:
        assert len(other.history) == len(classifier.history)
    other.partial_fit(pictures, labels)
    assert np.isfinite(other.predict_proba(pictures)).all()


def test_loading_leaves_other_estimators_alone(make, pictures, labels):
    trained = make(tune="all", max_steps=2, lr=0.05).fit(pictures, labels)
    buffer = io.BytesIO()
    trained.save_params(f_params=buffer)
    one, two = make().fit(pictures, labels), make().fit(pictures, labels)
    expected = two.predict_proba(pictures)
    buffer.seek(0)
    one.load_params(f_params=buffer)
    np.testing.assert_array_equal(
        one.predict_proba(pictures), trained.predict_proba(pictures)
    )
    np.testing.assert_array_equal(two.predict_proba(pictures), expected)
    np.testing.assert_array_equal(
        make().fit(pictures, labels).predict_proba(pictures), expected
    )


def test_loading_into_an_uninitialized_net(make, tmp_path):
    with pytest.raises(Exception, match=r"(?i)initialize"):
        make().load_params(f_params=tmp_path / "params")


def test_checkpoint(make, pictures, labels, tmp_path):
    params = {"optimizer": torch.optim.Adam, "max_epochs": 3, "classes": [0, 1]}
    checkpoint = Checkpoint(dirname=tmp_path, monitor="train_loss_best")
    classifier = make(**params, callbacks=[checkpoint]).fit(pictures, labels)
    for other in (make(**params), make(**params).initialize()):
        other.load_params(checkpoint=Checkpoint(dirname=tmp_path))
        np.testing.assert_array_equal(
            other.predict_proba(pictures), classifier.predict_proba(pictures)
        )
        assert len(other.history) == 3


# Silence and side effects -------------------------------------------------------------


@kinds
def test_nothing_is_printed(make, pictures, labels, kind, capfd):
    classifier = make(**KINDS[kind])
    classifier.fit(pictures, labels).fit(pictures, labels)
    classifier.partial_fit(pictures, labels).predict(pictures)
    classifier.set_params(lr=0.1).fit(pictures, labels)
    clone(classifier).fit(pictures, labels).embed(pictures)
    pickle.loads(pickle.dumps(classifier)).predict(pictures)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose, rows", [(0, 0), (1, 0), (2, 3)])
def test_table_of_epochs(make, pictures, labels, verbose, rows, capsys):
    params = {"optimizer": torch.optim.Adam, "max_epochs": 3, "verbose": verbose}
    make(**params).fit(pictures, labels)
    out = capsys.readouterr().out
    assert ("train_loss" in out) == bool(rows)
    assert len([line for line in out.splitlines() if "0.6" in line]) == rows


@pytest.mark.parametrize(
    "params", [{"callbacks__print_log": None}, {"callbacks": "disable"}]
)
def test_log_switched_off(make, pictures, labels, params, capsys):
    make(**params, verbose=2).fit(pictures, labels)
    assert "train_loss" not in capsys.readouterr().out


@kinds
@pytest.mark.parametrize("pretrained", [True, False])
def test_global_generators_are_left_alone(make, pictures, labels, kind, pretrained):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002

    params = KINDS[kind]
    if "backbone" not in params:
        params = {**params, "pretrained": pretrained}
    before = states()
    classifier = make(**params).fit(pictures, labels)
    classifier.partial_fit(pictures, labels).predict(pictures)
    assert states() == before


@kinds
def test_prediction_changes_nothing(make, pictures, labels, kind):
    classifier = make(**KINDS[kind]).fit(pictures, labels)
    before = dict(vars(classifier))
    state = copy.deepcopy(classifier.module_.state_dict())
    classifier.predict(pictures)
    classifier.predict_proba(pictures)
    classifier.embed(pictures)
    after = vars(classifier)
    assert before.keys() == after.keys()
    assert all(before[key] is after[key] for key in before)
    now = classifier.module_.state_dict()
    assert all(torch.equal(state[key], now[key]) for key in state)


@kinds
def test_fit_leaves_parameters_and_data_alone(make, pictures, labels, kind):
    classifier = make(**KINDS[kind], classes=[1, 0])
    before = {key: repr(value) for key, value in vars(classifier).items()}
    X, y = pictures.copy(), labels.copy()
    classifier.fit(X, y).partial_fit(X, y)
    for name in before:
        if not name.startswith("_") and not name.endswith("_"):
            assert repr(getattr(classifier, name)) == before[name], name
    np.testing.assert_array_equal(X, pictures)
    np.testing.assert_array_equal(y, labels)


def test_shared_backbone_stays_as_it_is(make, pictures, labels):
    shared = shared_backbone(DEFAULT, True, 0)
    before = fingerprint(shared)
    make().fit(pictures, labels)
    make(tune="all", max_steps=2, lr=0.1).fit(pictures, labels)
    make(tune=2, max_steps=2, lr=0.1).fit(pictures, labels)
    make(module__dropout=0.5, max_epochs=2).fit(pictures, labels)
    assert fingerprint(shared) == before
    assert not any(module.training for module in shared.modules())
    assert not any(p.requires_grad for p in shared.parameters())


@pytest.mark.parametrize("pretrained, learns", [(True, False), (False, True)])
@pytest.mark.parametrize("tune", ["all", 1])
def test_batch_norm(make, pictures, labels, pretrained, learns, tune):
    params = {**TRAINED, "pretrained": pretrained, "tune": tune}
    classifier = make(**params).fit(pictures, labels)
    learnt = classifier.module_.backbone[1].running_mean.abs().sum() > 0
    assert learnt == (learns and tune == "all")
    classifier.set_params(module__train_batch_norm=not learns).fit(pictures, labels)
    learnt = classifier.module_.backbone[1].running_mean.abs().sum() > 0
    assert learnt == (not learns and tune == "all")


# scikit-learn -------------------------------------------------------------------------


def test_grid_search(make, pictures, labels, cache):
    grid = {"C": [1e-4, 0.01], "module__dropout": [0.0, 0.2], "max_epochs": [3]}
    search = GridSearchCV(make(cache=cache), grid, cv=2).fit(pictures, labels)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.6
    assert cache.info()["misses"] == 24
    assert search.predict(pictures).shape == (24,)


def test_grid_search_over_tune(make, pictures, labels):
    grid = {"tune": ["head", 1, "all"]}
    search = GridSearchCV(make(**TRAINED), grid, cv=2, error_score="raise")
    assert search.fit(pictures, labels).best_params_["tune"] in grid["tune"]


def test_cross_validation_of_paths(make, paths, labels):
    y = np.array(["no", "yes"])[labels]
    scores = cross_val_score(make(), paths, y, cv=3, error_score="raise")
    assert scores.mean() > 0.8


def test_in_a_pipeline(make, pictures, labels):
    flip = FunctionTransformer(lambda X: X[:, :, ::-1])
    pipeline = make_pipeline(flip, make()).fit(pictures, labels)
    assert pipeline.score(pictures, labels) > 0.9
    expected = make().fit(pictures[:, :, ::-1], labels)
    np.testing.assert_array_equal(
        clone(pipeline).fit(pictures, labels).predict_proba(pictures),
        expected.predict_proba(pictures[:, :, ::-1]),
    )


def test_in_ensembles(make, paths, labels):
    y = np.array(["no", "yes"])[labels]
    vote = VotingClassifier(
        [("weak", make(C=1e-4)), ("strong", make(C=0.1))], voting="soft"
    ).fit(paths, y)
    assert vote.score(paths, y) > 0.9
    calibrated = CalibratedClassifierCV(make(), cv=2).fit(paths, y)
    assert calibrated.score(paths, y) > 0.8


def test_in_other_processes(make, pictures, labels):
    scores = cross_val_score(
        make(**KINDS["all"]), pictures, labels, cv=2, n_jobs=2, error_score="raise"
    )
    expected = cross_val_score(make(**KINDS["all"]), pictures, labels, cv=2)
    np.testing.assert_array_equal(scores, expected)


def test_repr(make):
    text = repr(make(C=0.3))
    assert "PretrainedClassifier" in text
    assert "C=0.3" in text
    assert "max_epochs" not in text
