"""What is mended of skorch, with plain modules: nothing here is pretrained."""

import inspect
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader

from modal_pretrain.training.callbacks import WarmupDecay
from modal_pretrain.training.parameters import known_parameters
from modal_pretrain.training.skorch_net import FewLabelsNet


class Plain(nn.Module):
    """Two layers, nothing of this package."""

    def __init__(self, hidden=8, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 2)
        )

    def forward(self, X):
        return self.layers(X)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


def net(**params):
    return FewLabelsNet(Plain, **{"random_state": 0, "lr": 0.1, **params})


def weights(fitted):
    return torch.cat([p.detach().flatten() for p in fitted.module_.parameters()])


def test_it_stands_on_skorch_alone():
    assert FewLabelsNet.__mro__[2] is NeuralNetClassifier
    source = "".join(
        inspect.getsource(inspect.getmodule(cls)) for cls in FewLabelsNet.__mro__[:2]
    )
    for word in ("backbone:", "self.backbone", ".head", "embedding", "tune", "_source"):
        assert word not in source


def test_learns_with_no_more_than_a_module(data):
    X, y = data
    fitted = net().fit(X, y)
    assert fitted.score(X, y) > 0.9
    assert fitted.predict_proba(X).shape == (60, 2)
    # 500 steps of 2 batches.
    assert len(fitted.history) <= 250
    assert isinstance(fitted.optimizer_, torch.optim.SGD)
    assert any(isinstance(c, WarmupDecay) for _, c in fitted.callbacks_)


@pytest.mark.parametrize(
    "params, steps",
    [
        ({}, 500),
        ({"max_epochs": 5}, 10),
        ({"max_epochs": 5, "iterator_train__batch_size": 10}, 30),
        ({"max_epochs": 5, "batch_size": -1}, 5),
        ({"max_epochs": 5, "callbacks__lr_schedule__max_steps": 50}, 50),
        ({"max_epochs": 5, "batch_size": 16, "train_split": ValidSplit(5)}, 15),
    ],
    # Workers have to agree on names, and an object's text has its address.
    ids=["auto", "epochs", "loader's batches", "one batch", "given", "validation"],
)
def test_schedule_is_laid_over_the_fit(data, params, steps):
    """Five epochs of a schedule for 500 steps never left its warm-up."""
    fitted = net(**params).fit(*data)
    assert dict(fitted.callbacks_)["lr_schedule"].steps_ == steps


def test_batches_of_the_loader_count(data):
    runs = {10: 2, 60: 10, -1: 10}
    for batch, epochs in runs.items():
        params = {"iterator_train__batch_size": batch, "stop_loss": None}
        assert len(net(max_steps=10, **params).fit(*data).history) == epochs


DROPS = {
    "iterator_train": torch.utils.data.DataLoader,
    "iterator_train__drop_last": True,
}


@pytest.mark.parametrize(
    "params, n_batches",
    [
        ({"train_split": ValidSplit(2), "batch_size": 10}, 3),
        ({**DROPS, "batch_size": 40}, 1),
    ],
    ids=["validation", "dropped"],
)
def test_auto_counts_the_steps_that_there_are(data, params, n_batches):
    fitted = net(max_steps=12, stop_loss=None, **params).fit(*data)
    steps = [sum("train_loss" in b for b in e["batches"]) for e in fitted.history]
    assert steps == [n_batches] * (12 // n_batches)
    fitted = net(max_epochs=4, stop_loss=None, **params).fit(*data)
    assert dict(fitted.callbacks_)["lr_schedule"].steps_ == 4 * n_batches


def test_auto_counts_steps(data):
    X, y = data
    runs = {(10, 20): 4, (10, 60): 10, (7, 20): 3, (5, -1): 5}
    for (steps, batch), epochs in runs.items():
        fitted = net(max_steps=steps, batch_size=batch, stop_loss=None).fit(X, y)
        assert len(fitted.history) == epochs


def test_one_seed_for_life(data):
    X, y = data
    state = torch.get_rng_state()
    one = net(random_state=None, module__dropout=0.5, max_epochs=3).fit(X, y)
    first = weights(one)
    assert torch.equal(weights(one.fit(X, y)), first)
    assert torch.equal(torch.get_rng_state(), state)
    other = net(random_state=None, module__dropout=0.5, max_epochs=3).fit(X, y)
    assert not torch.equal(weights(other), first)
    one.set_params(random_state=5).fit(X, y)
    five = net(random_state=5, module__dropout=0.5, max_epochs=3).fit(X, y)
    assert torch.equal(weights(one), weights(five))


def test_calls_of_partial_fit_differ(data):
    X, y = data

    class Watch(Callback):
        def on_batch_begin(self, net, batch, **kwargs):
            seen.append(batch[0].tolist())

    orders = []
    for _ in range(2):
        one, seen = net(max_epochs=1, batch_size=60, callbacks=[Watch()]), []
        orders.append([*one.partial_fit(X, y).partial_fit(X, y).history, *seen][-2:])
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
    assert sorted(orders[0][0]) == sorted(orders[0][1])


@pytest.mark.parametrize("moment", ["train_begin", "batch_end", "epoch_begin"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_ctrl_c_is_not_swallowed(data, moment, method):
    class Interrupt(Callback):
        pass

    def interrupt(self, net, **kwargs):
        raise KeyboardInterrupt

    setattr(Interrupt, f"on_{moment}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        getattr(net(callbacks=[Interrupt()]), method)(*data)


def test_callbacks_may_end_training(data):
    stop = EarlyStopping("train_loss", patience=1, threshold=10.0, sink=lambda _: None)
    fitted = net(callbacks=[stop], max_epochs=9, stop_loss=None).fit(*data)
    assert len(fitted.history) == 2
    assert len(net(max_epochs=9, stop_loss=2.0).fit(*data).history) == 2


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_unknown_parameters(data, method):
    wrong = net(max_epoch=3)
    with pytest.raises(TypeError, match=r"no parameter 'max_epoch'.*'max_epochs'"):
        getattr(wrong, method)(*data)
    assert {"module", "stop_loss", "train_split"} <= known_parameters(FewLabelsNet)


def test_optimizer_of_the_users(data):
    params = {"optimizer": torch.optim.Adam, "optimizer__betas": (0.5, 0.9)}
    fitted = net(**params, lr="auto", max_epochs=1).fit(*data)
    (group,) = fitted.optimizer_.param_groups
    assert (group["lr"], group["betas"]) == (0.01, (0.5, 0.9))
    assert not any(isinstance(c, WarmupDecay) for _, c in fitted.callbacks_)


@pytest.mark.parametrize("momentum", ["x", -1])
def test_optimizer_that_cannot_be_made(data, momentum):
    wrong = net(optimizer=torch.optim.SGD, lr=0.1, optimizer__momentum=momentum)
    with pytest.raises(ValueError, match=r"optimizer: SGD cannot be .* optimizer__"):
        wrong.fit(*data)


def test_what_is_frozen_is_left_out(data):
    class Half(Plain):
        def __init__(self):
            super().__init__()
            self.layers[0].requires_grad_(False)

    fitted = FewLabelsNet(Half, random_state=0, max_epochs=1, lr=0.1).fit(*data)
    (group,) = fitted.optimizer_.param_groups
    assert len(group["params"]) == 2


def test_modes_are_set_where_they_change(data):
    class Watched(Plain):
        walks = 0

        def train(self, mode=True):
            Watched.walks += mode
            return super().train(mode)

    seen = []

    class Modes(Callback):
        def on_batch_begin(self, net, training=False, **kwargs):
            seen.append(net.module_.training)

        def on_batch_end(self, net, training=False, **kwargs):
            seen.append(net.module_.layers.training)

        def on_epoch_end(self, net, **kwargs):
            net.predict(data[0])

    fitted = FewLabelsNet(
        Watched, random_state=0, lr=0.1, max_epochs=3, batch_size=10, callbacks=[Modes]
    )
    fitted.fit(*data)
    assert len(seen) == 3 * 6 * 2 and all(seen[1::2])
    assert Watched.walks == 3  # once an epoch, after the predictions of the last one


def test_set_params_of_a_trained_net(data, capsys):
    fitted = net(max_epochs=1).fit(*data)
    fitted.set_params(lr=0.5)
    assert fitted.optimizer_.param_groups[0]["lr"] == 0.5
    fitted.set_params(optimizer=torch.optim.Adam, iterator_train=DataLoader)
    assert isinstance(fitted.optimizer_, torch.optim.Adam)
    fitted.set_params(callbacks=[("mine", Callback())]).fit(*data)
    assert isinstance(fitted.get_iterator(fitted.get_dataset(*data), True), DataLoader)
    assert "mine" in dict(fitted.callbacks_)
    assert fitted.optimizer_.param_groups[0]["lr"] == 0.5
    assert capsys.readouterr().out == ""


def test_params_clone_and_grid_search(data):
    one = net(module__hidden=4)
    assert clone(one).get_params(deep=False) == one.get_params(deep=False)
    assert not any(name.startswith("_") for name in one.get_params())
    grid = {"module__hidden": [2, 8], "max_epochs": [2]}
    search = GridSearchCV(net(), grid, cv=2).fit(*data)
    assert search.best_estimator_.module_.layers[0].out_features in (2, 8)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_pickle_and_device(data, device):
    X, y = data
    fitted = net(device=device, max_epochs=2).fit(X, y)
    assert fitted.device == device
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy.device == device
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))


def test_files(data, tmp_path):
    X, y = data
    keeper = Checkpoint(dirname=tmp_path / "all", monitor=None)
    fitted = net(max_epochs=2, callbacks=[keeper]).fit(X, y)
    fitted.save_params(f_params=tmp_path / "p.pt", f_optimizer=tmp_path / "o.pt")
    other = net(random_state=1, classes=[0, 1]).initialize()
    other.load_params(f_params=tmp_path / "p.pt", f_optimizer=tmp_path / "o.pt")
    assert torch.equal(weights(other), weights(fitted))
    third = net(random_state=2, classes=[0, 1])
    third.load_params(checkpoint=keeper)
    assert torch.equal(weights(third), weights(fitted))
    assert len(third.history) == 2
    assert third.device == "auto"


def test_validation_split_counts_columns(data):
    split = ValidSplit(3, stratified=True)
    fitted = net(train_split=split, max_epochs=3, device="auto").fit(*data)
    assert 0 <= fitted.history[-1]["valid_acc"] <= 1
    assert fitted.device == "auto"


def test_a_pickle_of_a_callback_keeps_the_parameter(data, tmp_path):
    keeper = Checkpoint(
        dirname=tmp_path,
        monitor=None,
        f_pickle="net.pkl",
        f_params=None,
        f_optimizer=None,
        f_criterion=None,
        f_history=None,
    )
    net(max_epochs=1, callbacks=[keeper]).fit(*data)
    assert pickle.loads((tmp_path / "net.pkl").read_bytes()).device == "auto"


def test_silent_until_verbose_2(data, capsys):
    net(max_epochs=2, verbose=1).fit(*data)
    assert capsys.readouterr().out == ""
    net(max_epochs=2, verbose=2).fit(*data)
    assert "train_loss" in capsys.readouterr().out


# Schedules and checkpoints ------------------------------------------------------------


class Rates(Callback):
    """Notes the rate of every step."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.seen.append(net.optimizer_.param_groups[0]["lr"])


def rates(fitted):
    return dict(fitted.callbacks_)["rates"].seen


SHORT = {"max_epochs": 10, "batch_size": -1, "stop_loss": None}


@pytest.mark.parametrize("silenced", [False, True])
def test_schedule_of_the_users_counts(data, silenced):
    """The automatic one overwrote at every step what the other had set."""
    steps = LRScheduler("StepLR", step_size=4, gamma=0.1)
    params = {"callbacks__lr_schedule": None} if silenced else {}
    callbacks = [("steps", steps), ("rates", Rates())]
    fitted = net(callbacks=callbacks, **SHORT, **params).fit(*data)
    assert rates(fitted) == pytest.approx([0.1] * 4 + [0.01] * 4 + [0.001] * 2)


def test_a_warm_up_of_the_users_counts(data):
    own = [("slow", WarmupDecay(5 * 8)), ("rates", Rates())]
    fitted = net(callbacks=own, **SHORT).fit(*data)
    expected = [0.1 * min(step / 8, 1) for step in range(1, 11)]
    assert rates(fitted) == pytest.approx(expected)
    assert fitted.optimizer_.param_groups[0]["lr"] == pytest.approx(0.1)


def checkpointed(folder, **params):
    best = Checkpoint("train_loss_best", dirname=folder, f_pickle="net.pkl", **params)
    return best, net(callbacks=[("best", best), ("rates", Rates())], **SHORT)


def test_best_checkpoint_leaves_the_rate_for_the_next_training(data, tmp_path):
    """It loads the optimizer as it was amid the schedule: each round had less."""
    _, fitted = checkpointed(tmp_path, load_best=True)
    first = rates(fitted.fit(*data))
    assert first[0] == pytest.approx(0.05)
    for _ in range(2):
        assert rates(fitted.partial_fit(*data)) == first
    fitted.set_params(lr=0.2).partial_fit(*data)
    assert rates(fitted) == pytest.approx([2 * rate for rate in first])


@pytest.mark.parametrize("how", ["parameters", "pickle"])
def test_training_goes_on_from_a_checkpoint_at_the_full_rate(data, tmp_path, how):
    best, fitted = checkpointed(tmp_path)
    first = rates(fitted.fit(*data))
    if how == "parameters":
        resumed = net(callbacks=[("rates", Rates())], classes=[0, 1], **SHORT)
        resumed.initialize().load_params(checkpoint=best)
    else:
        resumed = pickle.loads((tmp_path / "net.pkl").read_bytes())
    assert rates(resumed.partial_fit(*data)) == first
