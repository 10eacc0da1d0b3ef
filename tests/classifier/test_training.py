"""Training: optimizers, splits, callbacks, interruption."""

import pickle
import signal
from functools import cache, partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import (
    f1_score,
    get_scorer,
    make_scorer,
    precision_score,
    recall_score,
)
from skorch.callbacks import Callback, EarlyStopping, EpochScoring
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.training.network import PretrainedNetwork
from tests.classifier.cases import (
    KINDS,
)


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

    def forward(self, inputs=None, embedding=None):
        if self.training and self.head.weight.any():
            raise KeyboardInterrupt
        return super().forward(inputs, embedding)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", ["head", "all"])
def test_ctrl_c_is_not_swallowed(make, pictures, labels, kind, method):
    params = {**KINDS[kind], "optimizer": torch.optim.SGD, "max_epochs": 3}
    classifier = make(**params, lr=0.1, module=InterruptedNetwork)
    with pytest.raises(KeyboardInterrupt):
        getattr(classifier, method)(pictures, labels)
    assert classifier.device == "cpu"
    assert torch.get_num_threads() == 1


def own_handler(number, frame):
    raise KeyboardInterrupt


class Handler:
    def __call__(self, number, frame):
        raise KeyboardInterrupt


HANDLERS = [signal.default_int_handler, own_handler, partial(own_handler), Handler()]


@pytest.mark.parametrize("moment", ["train_begin", "epoch_begin", "batch_end"])
def test_ctrl_c_inside_a_callback(make, pictures, labels, moment):
    class Interrupted(Callback):
        pass

    def interrupt(self, net, **kwargs):
        raise KeyboardInterrupt

    setattr(Interrupted, f"on_{moment}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(callbacks=[Interrupted()]).fit(pictures, labels)


@pytest.mark.parametrize("handler", HANDLERS)
def test_ctrl_c_inside_a_score_does_not_end_training(make, pictures, labels, handler):
    def score(net, X, y):
        signal.raise_signal(signal.SIGINT)
        return 0.0

    params = {"on_train": True, "use_caching": False, "name": "slow"}
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            make(callbacks=[EpochScoring(score, **params)]).fit(pictures, labels)
    finally:
        signal.signal(signal.SIGINT, before)


class Doubled(PretrainedNetwork):
    """A user's own network."""

    def __init__(self, backbone, factor=2.0, **kwargs):
        super().__init__(backbone, **kwargs)
        self.factor = factor

    def forward(self, inputs=None, embedding=None):
        return self.factor * super().forward(inputs, embedding)


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
    hinge = make(criterion=nn.MultiMarginLoss).fit(pictures, labels)
    assert hinge.score(pictures, labels) > 0.9
    np.testing.assert_allclose(hinge.predict_proba(pictures).sum(1), 1)


class Mean(nn.Module):
    """A criterion without weights of its own."""

    def forward(self, logits, y):
        return nn.functional.cross_entropy(logits, y)


class InheritedMean(nn.CrossEntropyLoss):
    """A criterion that has `reduction` but does not look at it."""

    def forward(self, logits, y):
        return nn.functional.cross_entropy(logits, y)


@pytest.mark.parametrize("criterion", [Mean, InheritedMean])
def test_criterion_of_the_users(make, pictures, labels, criterion):
    classifier = make(criterion=criterion).fit(pictures, labels)
    nonlinear = make(criterion=criterion, predict_nonlinearity=lambda x: x.softmax(-1))
    assert nonlinear.fit(pictures, labels).score(pictures, labels) > 0.9
    np.testing.assert_allclose(
        classifier.predict_proba(pictures),
        make().fit(pictures, labels).predict_proba(pictures),
        atol=1e-6,
    )
    twice = np.r_[np.arange(len(labels)), 0, 0]  # as in a bootstrap
    X, y = pictures[twice], labels[twice]
    np.testing.assert_allclose(
        make(criterion=criterion).fit(X, y).predict_proba(pictures),
        make().fit(X, y).predict_proba(pictures),
        atol=1e-3,
    )
    raw = make(criterion=criterion, predict_nonlinearity=None).fit(pictures, labels)
    assert (raw.predict_proba(pictures) < 0).any()


@pytest.mark.parametrize("classes", [["bad", "good"], [5, 7]])
@pytest.mark.parametrize("caching", ["auto", False])
def test_scores_of_callbacks_are_of_the_labels(
    make, pictures, labels, classes, caching
):
    scores = {}
    for name in ("accuracy", "f1_macro", "roc_auc"):
        scoring = EpochScoring(name, lower_is_better=False, name=name)
        classifier = make(
            callbacks=[scoring] if caching else [],
            train_split=ValidSplit(4, stratified=True),
            use_caching=caching,
        ).fit(pictures, np.array(classes)[labels])
        scores[name] = classifier.history[-1].get(name)
        assert classifier.history[-1]["valid_acc"] > 0.8
    if caching:
        assert min(scores.values()) > 0.8, scores


def share_found(y_true, y_pred):
    return np.mean(y_pred[y_true == "bad"] == "bad")


@pytest.mark.parametrize(
    ("classes", "scoring"),
    [
        ([1, 2], "f1"),
        ([1, 5], "average_precision"),
        ([1, 2], recall_score),
        (["bad", "good"], make_scorer(f1_score, pos_label="bad")),
        ([1, 2], make_scorer(precision_score, labels=[2], average="macro")),
        (["bad", "good"], make_scorer(share_found)),
    ],
)
def test_scorers_that_name_classes_get_labels(make, pictures, labels, classes, scoring):
    y = np.array(classes)[labels]
    noisy = np.array(classes)[np.r_[labels[:8], 1 - labels[8:11], [1] * 4]]
    X = pictures[: len(noisy)]
    callback = EpochScoring(scoring, lower_is_better=False, name="found")
    params = {"train_split": predefined_split(Dataset(X, noisy))}
    classifier = make(callbacks=[callback], **params).fit(pictures, y)
    scorer = make_scorer(scoring) if scoring is recall_score else get_scorer(scoring)
    for _ in range(2):
        expected = scorer(classifier, X, noisy)
        assert 0 < expected < 1
        assert classifier.history[-1]["found"] == pytest.approx(expected)
        classifier.set_params(callbacks__EpochScoring__use_caching=False)
        classifier = pickle.loads(pickle.dumps(classifier)).partial_fit(pictures, y)


def test_batches_of_no_size(make, pictures, labels):
    classifier = make(**KINDS["all"], iterator_train__batch_size=0)
    with pytest.raises(ValueError, match=r"batch_size must be .*got 0"):
        classifier.fit(pictures, labels)


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


@pytest.mark.parametrize("kind", ["head", "all"])
def test_double_precision_as_pytorchs_default(make, pictures, labels, kind):
    params = {**KINDS[kind], "max_epochs": 2}
    expected = make(**params).fit(pictures, labels).predict_proba(pictures)
    torch.set_default_dtype(torch.float64)  # as users of Gaussian processes set it
    try:
        found = make(**params).fit(pictures, labels).predict_proba(pictures)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_fit_inside_a_mode_without_gradients(make, pictures, labels, kind, mode):
    expected = make(**KINDS[kind]).fit(pictures, labels)
    with mode():
        classifier = make(**KINDS[kind]).fit(pictures, labels)
        assert not torch.is_grad_enabled()  # the caller's mode is there again
    for fitted in (expected, classifier):
        fitted.partial_fit(pictures[::2], labels[::2])
    np.testing.assert_allclose(
        classifier.predict_proba(pictures), expected.predict_proba(pictures), atol=1e-6
    )


def test_an_optimizer_that_cannot_be_made_and_has_no_name(make, pictures, labels):
    optimizer = partial(torch.optim.SGD, nestrov=True)
    with pytest.raises(ValueError, match=r"SGD.* cannot be made with"):
        make(tune=1, max_steps=1, optimizer=optimizer).fit(pictures, labels)


@cache
def _waves(n):
    return torch.linspace(0, 1, n)[:, None].cos()


class _Positions(nn.Module):
    """Keeps what it computes in its first pass, as rotary embeddings are kept."""

    def __init__(self):
        super().__init__()
        self.patches, self.out = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 4)
        self.kept = None

    def forward(self, x):
        rows = self.patches(x).flatten(2).mT
        if self.kept is None:
            self.kept = _waves(rows.shape[1]) ** 2
        return self.out(rows * self.kept * _waves(rows.shape[1])).mean(1)


@pytest.mark.parametrize("tune", ["all", 1])
def test_a_network_that_keeps_tensors_of_its_first_pass_trains(pictures, labels, tune):
    params = {"pretrained": False, "image_size": 48, "max_epochs": 1}
    frozen = PretrainedClassifier(_Positions, **params).fit(pictures, labels)
    frozen.predict(pictures)
    tuned = PretrainedClassifier(_Positions, tune=tune, **params).fit(pictures, labels)
    tuned.predict(pictures)
    tuned.partial_fit(pictures, labels)
