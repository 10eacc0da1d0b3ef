"""Errors reach the user, by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from modal_pretrain import ImageLoadError, PretrainedClassifier
from tests.classifier.cases import (
    KINDS,
    pixels_of,
)


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
    with pytest.raises(ValueError, match="C must be a finite number of at least 1e-20"):
        make(C=C).fit(pictures, labels)


@pytest.mark.parametrize("tune", [0, -1, 9, True, 1.5, None, "first", "ALL"])
def test_bad_tune_names_the_range(make, pictures, labels, tune):
    with pytest.raises(ValueError, match=r"'all', or the number.* from 1 to 8 for Eff"):
        make(tune=tune).fit(pictures, labels)


@pytest.mark.parametrize("batch_size", [0, -2, 1.5, None, "all"])
def test_bad_batch_size(make, pictures, labels, batch_size):
    with pytest.raises(ValueError, match="batch_size must be -1 or a whole number"):
        make(batch_size=batch_size).fit(pictures, labels)


@pytest.mark.parametrize(
    "params, match",
    [
        ({"precision": "half"}, "precision must be 'auto', 'float32'"),
        ({"device": "gpu"}, "device must be 'auto' or one of PyTorch's"),
        ({"device": None}, "device must be 'auto' or one of PyTorch's"),
        ({"cache": 3}, "cache must be 'memory', None"),
        ({"image_size": 0}, "image_size must be a positive whole number"),
        ({"image_size": "large"}, "image_size must be a positive whole number"),
        ({"n_threads": 0}, "n_threads must be None or a whole number of at"),
        ({"random_state": "x"}, "random_state must be None or a whole number"),
        ({"backbone": "efficientnet_lite"}, "is not a timm model"),
        ({"module__dropout": 1.5}, "module__dropout must be a finite number of at"),
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
    for method in ("predict", "predict_proba", "infer", "forward"):
        for classifier in (make(), make().initialize()):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                getattr(classifier, method)(pictures)
    assert make().embed(pictures).shape == (24, 1280)


def test_failed_fit_leaves_the_estimator_as_it_was(make, paths, labels):
    Path(paths[3]).write_bytes(b"no picture")
    classifier = make(classes=[0, 1]).fit(paths[5:], labels[5:])
    with pytest.raises(ImageLoadError):
        classifier.fit(paths, labels)
    expected = make(classes=[0, 1]).fit(paths[5:], labels[5:])
    np.testing.assert_array_equal(
        classifier.predict_proba(paths[5:]), expected.predict_proba(paths[5:])
    )


def test_training_that_diverges_is_an_error(make, pictures, labels):
    classifier = make().fit(pictures, labels)
    expected = classifier.predict_proba(pictures)
    classifier.set_params(optimizer=torch.optim.SGD, lr=1e30, max_epochs=3)
    with pytest.raises(ValueError, match=r"Training diverged: .*SGD at lr=1e\+30"):
        classifier.fit(pictures, labels)
    np.testing.assert_array_equal(classifier.predict_proba(pictures), expected)


def test_values_that_the_caller_changes_in_place(make, pictures, labels):
    size, names = [32, 32], [0, 1]
    classifier = make(image_size=size, classes=names).fit(pictures, labels)
    size[0] = 64
    with pytest.raises(ValueError, match=r"image_size is \[64, 32\] now"):
        classifier.predict(pictures)
    size[0] = 32
    names.append(2)
    with pytest.raises(ValueError, match=r"classes is \[0, 1, 2\] now"):
        classifier.predict(pictures)
    del names[2]
    assert (classifier.predict(pictures) == labels).mean() > 0.9


def test_masked_tables():
    table = np.ma.array(np.arange(8.0).reshape(4, 2), mask=[[1, 0]] * 4)
    with pytest.raises(ValueError, match="X is a masked array"):
        PretrainedClassifier(nn.Flatten, pretrained=False).fit(table, [0, 1, 0, 1])


ODD = {
    "complex": (lambda x: x.flatten(1).to(torch.complex64), "numbers of torch.complex"),
    "sparse": (lambda x: x.flatten(1).to_sparse(), "in the layout torch.sparse_coo"),
    "empty": (lambda x: x.flatten(1)[:, :0], r"got shape \(24, 0\)"),
    "huge": (lambda x: x.flatten(1) * 1e38, "float32 cannot hold their squares"),
    "uneven": (lambda x: x.flatten(1)[:, : 1 + len(x)], "of 9 numbers for one batch"),
}


@pytest.mark.parametrize("what", ODD)
def test_embeddings_that_are_none(pictures, labels, what):
    function, message = ODD[what]

    class Odd(nn.Module):
        def forward(self, x):
            return function(x)

    classifier = PretrainedClassifier(
        Odd, pretrained=False, image_size=8, cache=None, batch_size=8
    )
    if what == "empty":
        classifier.batch_size = 24
    with pytest.raises(ValueError, match=message):
        classifier.fit(pictures, labels)


def test_a_loader_that_is_none(make, pictures, labels):
    classifier = make().fit(pictures, labels).set_params(iterator_valid=None)
    with pytest.raises(ValueError, match="iterator_valid must be a class of loaders"):
        classifier.predict(pictures)


def test_factories_that_want_arguments(pictures, labels):
    with pytest.raises(TypeError, match=r"backbone=Linear can't be .*'in_features'"):
        PretrainedClassifier(nn.Linear, pretrained=False).fit(pictures, labels)
