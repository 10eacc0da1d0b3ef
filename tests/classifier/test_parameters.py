"""Every parameter is checked at fit: its name, what came, what is allowed."""

import re

import numpy as np
import pytest
import torch
from skorch.callbacks import EpochTimer
from torch import nn

from modal_pretrain import TimmEncoder
from modal_pretrain.training.base import BaseClassifier
from tests.classifier.cases import TRAINED

NAN = float("nan")
TRAINS = {**TRAINED, "tune": 1}

WRONG = [
    ("image_size", "32", "Write 32 without quotes|whole number of pixels"),
    ("image_size", True, "got True of type bool"),
    ("image_size", 1_000_000, "at most 2048 pixels"),
    ("image_size", (32, 0), r"got \(32, 0\)"),
    ("image_size", NAN, "got nan"),
    ("augment", "crop", "'crop-flip' or a function of a picture, got 'crop'"),
    ("augment", "crop_flip", "Did you mean 'crop-flip'"),
    ("augment", None, "False, True, 'crop-flip' or a function .* got None"),
    ("augment", 1, "got 1 of type int"),
    ("max_epochs", 0, "'auto' or a whole number of at least 1, got 0"),
    ("max_epochs", -1, "got -1"),
    ("max_epochs", "a", "got 'a'"),
    ("max_epochs", "3", "Write 3 without quotes"),
    ("max_epochs", 1.5, "got 1.5"),
    ("max_epochs", None, "got None"),
    ("max_epochs", True, "got True of type bool"),
    ("max_steps", 0, "at least 1, got 0"),
    ("max_steps", -1, "got -1"),
    ("max_steps", "a", "got 'a'"),
    ("max_steps", None, "got None"),
    ("stop_loss", "a", "None or a finite number of at least 0, got 'a'"),
    ("stop_loss", -1, "got -1"),
    ("stop_loss", NAN, "got nan"),
    ("lr", 0, "'auto' or a finite number above 0, got 0"),
    ("lr", "a", "got 'a'"),
    ("lr", "Auto", "Did you mean 'auto'"),
    ("lr", None, "got None"),
    ("lr", float("inf"), "got inf"),
    ("batch_size", True, "got True of type bool"),
    ("C", 1e-300, "at least 1e-20, got 1e-300"),
    ("C", NAN, "got nan"),
    ("C", "0.1", "Write 0.1 without quotes"),
    ("classes", [0, None], "missing labels"),
    ("classes", [0.0, NAN], "classes contains NaN"),
    ("classes", {0, 1}, "got a set, which has no order"),
    ("classes", [0, "a"], "classes mixes kinds"),
    ("classes", "ab", "must be a list or an array of labels"),
    ("classes", [[0, 1]], "must be a list or an array of labels"),
    ("class_weight", {0: -1, 1: 1}, r"class_weight\[0\] must be .* got -1"),
    ("class_weight", {0: NAN, 1: 1}, r"class_weight\[0\] must be .* got nan"),
    ("class_weight", {0: "1", 1: 1}, r"class_weight\[0\] must be .* got '1'"),
    ("class_weight", {0: 0, 1: 0}, "leaves no row any weight"),
    ("class_weight", {7: 1}, "label 7, which is not among"),
    ("class_weight", "balance", "Did you mean 'balanced'"),
    ("class_weight", [1, 2], "a dict of label to weight"),
    ("verbose", "a", "got 'a'"),
    ("verbose", -1, "got -1"),
    ("optimizer", "adam", "an optimizer class, such as torch.optim.Adam, got 'adam'"),
    ("optimizer", None, "got None"),
    ("optimizer", nn.Linear, "an optimizer class"),
    ("criterion", "mse", "a class of losses on logits.* got 'mse'"),
    ("criterion", nn.MSELoss, "criterion=.*MSELoss.* can't be computed from logits"),
    ("criterion", nn.NLLLoss, "a class of losses on logits"),
    ("criterion", torch.optim.Adam, "a class of losses on logits"),
    ("train_split", "a", "None or a function"),
    ("train_split", 0.2, "ValidSplit"),
    ("callbacks", "a", "a list of skorch callbacks"),
    ("callbacks", [1], "a list of skorch callbacks"),
    ("callbacks", [("name", 1)], "a list of skorch callbacks"),
    ("module__dropout", "a", "got 'a'"),
    ("module__dropout", 1.0, "below 1, got 1.0"),
    ("module__dropout", -0.1, "got -0.1"),
    ("precision", 16, "'auto', 'float32', 'bfloat16' or 'float16', got 16"),
    ("precision", "bf16", "got 'bf16'"),
    ("device", "meta", "can't compute there"),
    ("device", "xla", "can't compute there|no such device"),
    ("device", 1.5, "'auto' or one of PyTorch's"),
    ("backbone", ["resnet18"], r"got \['resnet18'\] of type list"),
    ("backbone", None, "got None"),
    ("backbone", 3, "got 3"),
    ("pretrained", None, "got None"),
    ("pretrained", 1, "got 1"),
    ("warm_start", "yes", "True or False, got 'yes'"),
    ("compile", 1, "True or False, got 1"),
    ("use_caching", 3, "got 3"),
    ("predict_nonlinearity", "softmax", "got 'softmax'"),
    ("random_state", -1, "got -1"),
    ("random_state", 1.5, "got 1.5"),
    ("random_state", True, "got True"),
    ("n_threads", 0, "got 0"),
    ("n_threads", True, "got True"),
    ("iterator_train", 3, "got 3"),
    ("dataset", "a", "got 'a'"),
    ("module", "a", "got 'a'"),
    ("torch_load_kwargs", 3, "got 3"),
]


@pytest.mark.parametrize("trains", [False, True], ids=["head", "last"])
@pytest.mark.parametrize("name, value, message", WRONG, ids=str)
def test_wrong_values(make, pictures, labels, name, value, message, trains):
    for method in ("fit", "partial_fit"):
        classifier = make(**{**(TRAINS if trains else {}), name: value})
        with pytest.raises(ValueError, match=message) as error:
            getattr(classifier, method)(pictures, labels)
        assert name.split("__")[-1] in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", np.int64(8)),
        ("batch_size", np.int8(100)),
        ("max_steps", np.int64(6)),
        ("max_steps", np.uint8(6)),
        ("max_epochs", np.uint8(130)),
        ("iterator_valid__batch_size", np.int64(7)),
        ("precision", np.str_("float32")),
    ],
    ids=repr,
)
def test_numbers_of_numpy(make, pictures, labels, name, value):
    """A search over arrays, or a table of settings, brings them."""
    probabilities = [
        make(**{**TRAINS, name: given})
        .fit(pictures, labels, sample_weight=np.arange(1.0, len(labels) + 1))
        .predict_proba(pictures)
        for given in (value, value.item())
    ]
    np.testing.assert_array_equal(*probabilities)


@pytest.mark.parametrize("name", ["optimizer", "callbacks"])
def test_wrong_values_for_a_fitted_one(make, pictures, labels, name):
    classifier = make().fit(pictures, labels)
    expected = classifier.predict_proba(pictures)
    with pytest.raises(ValueError, match=f"{name} must be"):
        classifier.set_params(**{name: "a"})
    np.testing.assert_array_equal(classifier.predict_proba(pictures), expected)


def test_a_file_is_no_cache(make, pictures, labels, tmp_path):
    file = tmp_path / "a1.py"
    file.write_text("")
    odd = [make(cache=str(file)), make(TimmEncoder, cache=file), make(cache="\0")]
    for estimator in [*odd, make(TimmEncoder, cache="")]:
        with pytest.raises(
            ValueError, match=r"cache must be 'memory', None or a dir.*no file"
        ):
            estimator.fit(pictures, labels)


def test_a_network_instead_of_a_factory(make, pictures, labels):
    classifier = make(backbone=nn.Identity(), pretrained=False)
    with pytest.raises(TypeError, match=r"backbone must be .* a factory, got an inst"):
        classifier.fit(pictures, labels)
    fitted = make().fit(pictures, labels)
    fitted.set_params(backbone=nn.Identity())
    with pytest.raises(TypeError, match=r"backbone must be .* a factory, got an inst"):
        fitted.fit(pictures, labels)


@pytest.mark.parametrize(
    "name, value, message",
    [row for row in WRONG if row[0] in vars(TimmEncoder())],
    ids=str,
)
def test_encoders_have_the_same_rules(make, pictures, name, value, message):
    encoder = make(TimmEncoder, **{name: value})
    with pytest.raises(ValueError, match=message if name != "batch_size" else name):
        encoder.fit(pictures)
    with pytest.raises(ValueError, match=name):
        encoder.transform(pictures)


def test_every_parameter_has_a_rule(make):
    def parameters(estimator):
        return set(estimator.get_params(deep=False))

    own = {"tune", "classes"}  # which need the backbone, or are looked at with y
    classifier = make()
    assert parameters(classifier) - own <= set(classifier._rules())
    encoder = make(TimmEncoder)
    assert parameters(encoder) <= set(encoder._rules())
    assert isinstance(classifier, BaseClassifier)


@pytest.mark.parametrize(
    "params",
    [
        {"lr": np.float32(0.1), "max_epochs": np.int64(2)},
        {"image_size": [32, 32]},
        {"image_size": np.int32(32)},
        {"batch_size": np.int64(-1)},
        {"verbose": False, "compile": False},
        {"random_state": np.random.RandomState(0)},
        {"optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr)},
        {"criterion": nn.CrossEntropyLoss()},
        {"device": torch.device("cpu")},
        {"classes": np.array([0, 1])},
        {"class_weight": {1: 2.0}},
    ],
    ids=lambda params: re.sub(r"0x\w+", "", str(params), flags=re.I),
)
def test_right_values(make, pictures, labels, params):
    assert make(**params).fit(pictures, labels).score(pictures, labels) > 0.5


def test_callbacks_that_parameters_name_exist(make, pictures, labels):
    message = "no callback for callbacks__print_lgo: 'print_lgo'. Did you mean 'print_l"
    with pytest.raises(ValueError, match=message):
        make(callbacks__print_lgo=None).fit(pictures, labels)
    classifier = make(callbacks__print_log=None).fit(pictures, labels)
    with pytest.raises(ValueError, match=message):
        classifier.set_params(callbacks__print_lgo=None)
    classifier = make().fit(pictures, labels)
    classifier.set_params(callbacks__print_log__sink=print, callbacks__valid_acc=None)
    own = make(callbacks=[("a__b", EpochTimer())], callbacks__a__b=None)
    own.fit(pictures, labels)
    make(callbacks="disable", callbacks__print_log=None).fit(pictures, labels)
