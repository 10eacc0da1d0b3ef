"""Loaders, splits and criteria that would teach or predict something else."""

import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import BatchScoring, EarlyStopping
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch.nn import Identity
from torch.utils.data import DataLoader, Subset

from modal_pretrain import PretrainedClassifier
from tests.classifier.cases import KINDS, kinds, tiny

ADAM = {"optimizer": torch.optim.Adam, "lr": 0.01, "max_epochs": 3}


# Predictions are of the rows of X, each once, in their order -------------------------


@pytest.mark.parametrize("loader", [{}, {"iterator_valid": DataLoader}])
def test_predictions_are_not_shuffled(make, pictures, labels, loader):
    classifier = make(**loader).fit(pictures, labels)
    classifier.set_params(iterator_valid__shuffle=True)
    with pytest.raises(ValueError, match=r"^iterator_valid__shuffle must be False"):
        classifier.predict(pictures)


@pytest.mark.parametrize(
    "params",
    [{"iterator_valid__drop_last": True}, {"iterator_valid__sampler": range(10)}],
    ids=str,
)
def test_predictions_are_of_all_rows(make, pictures, labels, params):
    params = {"iterator_valid": DataLoader, "iterator_valid__batch_size": 10, **params}
    classifier = make(**params).fit(pictures, labels)
    with pytest.raises(ValueError, match=r"iterator_valid gave [12]0 rows of 24"):
        classifier.predict_proba(pictures)


# A line search sees all rows ----------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"iterator_train__batch_size": 7},
        {"iterator_train": DataLoader, "iterator_train__batch_size": 7},
        {"optimizer": torch.optim.LBFGS, "batch_size": 7},
        {
            "iterator_train": DataLoader,
            "iterator_train__batch_size": 20,
            "iterator_train__drop_last": True,
        },
    ],
    ids=str,
)
def test_a_head_is_not_fitted_to_one_of_its_batches(make, pictures, labels, params):
    with pytest.raises(ValueError, match=r"gives [24] batches.*batch_size=-1"):
        make(**params).fit(pictures, labels)


def test_all_rows_in_one_batch_have_nothing_to_drop(make, pictures, labels):
    params = {"iterator_train": DataLoader, "iterator_train__drop_last": True}
    found = make(**params).fit(pictures, labels).predict_proba(pictures)
    expected = make().fit(pictures, labels).predict_proba(pictures)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_lbfgs_by_its_name_reaches_the_optimum(make, pictures, labels):
    """At the rate of other optimizers it stopped after 20 steps of a hundredth."""
    named = make(optimizer=torch.optim.LBFGS, batch_size=-1).fit(pictures, labels)
    expected = make().fit(pictures, labels).predict_proba(pictures)
    np.testing.assert_allclose(named.predict_proba(pictures), expected, atol=1e-3)
    own = named.set_params(lr=0.5).fit(pictures, labels)
    assert own.optimizer_.param_groups[0]["lr"] == 0.5


def test_batches_that_the_optimizer_follows(make, pictures, labels):
    classifier = make(iterator_train__batch_size=7, **ADAM).fit(pictures, labels)
    sizes = classifier.history[-1, "batches", :, "train_batch_size"]
    assert sizes == [7, 7, 7, 3]
    whole = make(iterator_train__batch_size=100).fit(pictures, labels)
    exact = make().fit(pictures, labels).predict_proba(pictures)
    np.testing.assert_allclose(whole.predict_proba(pictures), exact, atol=1e-3)


@pytest.mark.parametrize("weight", [None, 1.0])
def test_a_loss_that_is_a_sum(make, pictures, labels, weight):
    classifier = make(criterion__reduction="sum")
    with pytest.raises(ValueError, match="Leave out criterion__reduction"):
        classifier.fit(pictures, labels, sample_weight=weight)


# Validation data of one's own ---------------------------------------------------------


@kinds
@pytest.mark.parametrize("classes", [["no", "yes"], [1, 2], [False, True]], ids=str)
def test_predefined_split_has_labels(make, pictures, labels, kind, classes):
    y = np.array(classes)[labels]
    valid = Dataset(pictures[16:], y[16:])
    params = {**KINDS[kind], "train_split": predefined_split(valid)}
    classifier = make(**params).fit(pictures[:16], y[:16])
    row, proba = classifier.history[-1], classifier.predict_proba(pictures[16:])
    own = proba[np.arange(8), labels[16:]]
    assert row["valid_loss"] == pytest.approx(-np.log(own).mean(), rel=0.02)
    assert row["valid_acc"] == classifier.score(pictures[16:], y[16:])


def test_predefined_split_with_other_labels(make, pictures, labels):
    valid = Dataset(pictures[16:], np.array(["a", "b"])[labels[16:]])
    classifier = make(train_split=predefined_split(valid))
    with pytest.raises(ValueError, match=r"^train_split gave a data set: y has"):
        classifier.fit(pictures, np.array(["no", "yes"])[labels])


@kinds
def test_predefined_split_of_a_part(make, pictures, labels, kind):
    y = np.array([1, 2])[labels]
    whole = Dataset(pictures, y)
    params = {**KINDS[kind], "callbacks": None}
    rows = [*range(17, 24), 16]
    results = [
        make(**params, train_split=predefined_split(valid))
        .fit(pictures[:16], y[:16])
        .history[-1, "valid_loss"]
        for valid in (Subset(whole, rows), Dataset(pictures[rows], y[rows]))
    ]
    assert results[0] == pytest.approx(results[1], rel=1e-6)


@kinds
def test_predefined_split_with_weights_of_a_criterion(make, pictures, labels, kind):
    """More rows than those that train, whose labels are others."""
    weight = torch.tensor([1.0, 3.0])
    valid = Dataset(pictures[8:], labels[8:])
    params = {**KINDS[kind], "criterion__weight": weight}
    classifier = make(**params, train_split=predefined_split(valid))
    classifier.fit(pictures[:8], labels[:8])
    own = classifier.predict_proba(pictures[8:])[np.arange(16), labels[8:]]
    expected = np.average(-np.log(own), weights=weight.numpy()[labels[8:]])
    assert classifier.history[-1, "valid_loss"] == pytest.approx(expected, rel=0.02)


class Pairs(torch.utils.data.Dataset):
    def __init__(self, X, y):
        self.X, self.y = torch.tensor(X), y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return self.X[index], int(self.y[index])


def test_validation_data_whose_targets_nobody_can_look_up(make, pictures, labels):
    """1 of the labels 1, 2 and 3 would be column 1, which is label 2."""
    y = labels + 1
    split = predefined_split(Pairs(pictures[16:], y[16:]))
    classifier = make(train_split=split, classes=[1, 2, 3])
    with pytest.raises(ValueError, match=r"type Pairs.*classes_ are \[1, 2, 3\]"):
        classifier.fit(pictures, y)
    same = make(train_split=predefined_split(Pairs(pictures[16:], labels[16:])))
    assert same.fit(pictures, labels).history[-1, "valid_loss"] > 0


def test_early_stopping_without_validation_data(make, pictures, labels):
    classifier = make(callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match=r"^callbacks: .*valid_loss.*train_split="):
        classifier.fit(pictures, labels)


@pytest.mark.parametrize("kind", ["head", "all"])
@pytest.mark.parametrize("classes", [["bad", "good"], [1, 2]], ids=str)
def test_scores_of_batches_are_of_the_labels(make, pictures, labels, kind, classes):
    scoring = BatchScoring("accuracy", name="score", lower_is_better=False)
    classifier = make(
        **{**KINDS[kind], **ADAM},
        callbacks=[scoring],
        train_split=ValidSplit(4, stratified=True),
    ).fit(pictures, np.array(classes)[labels])
    assert classifier.history[-1, "score"] == classifier.history[-1, "valid_acc"]


# Rows that are a table ----------------------------------------------------------------


def test_read_only_tables_come_without_pytorchs_warning(labels, tmp_path):
    X = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    torch.set_warn_always(True)  # it is given once a process
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            classifier = PretrainedClassifier(Identity, pretrained=False)
            classifier.fit(mapped, labels).predict(mapped)
    finally:
        torch.set_warn_always(False)


def test_all_rows_at_once_and_weights_by_errors(make, pictures, labels):
    params = {"backbone": tiny, "pretrained": False, "tune": "all", "max_epochs": 2}
    params |= {"batch_size": -1, "error_weighting": 2.0, "cache": None}
    assert make(**params).fit(pictures, labels).weighting_ == "errors"


@pytest.mark.parametrize("epochs", ["auto", 6])
def test_a_last_row_that_joins_the_batch_before_is_no_step(epochs):
    """With 33 rows in batches of 32, half of the steps were missing."""
    X = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    params = {"pretrained": False, "tune": "all", "random_state": 0, "stop_loss": None}
    params |= {"batch_size": 8, "max_steps": 6, "max_epochs": epochs}
    fitted = PretrainedClassifier(tiny, **params).fit(X, np.arange(9) % 2)
    assert len(fitted.history) == 6
    assert dict(fitted.callbacks_)["lr_schedule"].steps_ == 6
