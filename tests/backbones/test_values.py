"""Factories are called again once the values that they find have changed."""

import time
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain.backbones.shared import shared_backbone

CHECKPOINT = "first.pth"


def reads_a_global():
    layer = nn.Linear(3, 2)
    layer.load_state_dict(torch.load(CHECKPOINT))
    return layer


class Maker:
    def __init__(self, layer):
        self.layer = layer

    def make(self):
        return deepcopy(self.layer)

    def __call__(self):
        return self.make()


def makers(layer, path):
    """Factories that copy a network, or read it from a file."""

    def copies():
        return deepcopy(layer)

    def calls():
        return copies()

    def reads(path):
        made = nn.Linear(3, 2)
        made.load_state_dict(torch.load(path))
        return made

    def names():
        return reads("layer.pth")

    options = SimpleNamespace(checkpoint=path)
    state = {"layer": layer.state_dict()}

    def loads():
        made = nn.Linear(3, 2)
        made.load_state_dict(state["layer"])
        return made

    return {
        "closure": copies,
        "called": calls,
        "lambda": lambda: (lambda: deepcopy(layer))(),
        "partial": partial(deepcopy, layer),
        "keyword": partial(reads, path=path),
        "constant": names,
        "options": lambda: reads(options.checkpoint),
        "state": loads,
        "method": Maker(layer).make,
        "object": Maker(layer),
    }


@pytest.mark.parametrize("kind", makers(nn.Linear(3, 2), ""))
def test_values_of_a_factory_that_change(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a training goes on, and writes its checkpoint anew
    layer, path = nn.Linear(3, 2), tmp_path / "layer.pth"
    torch.save(layer.state_dict(), path)
    factory = makers(layer, str(path))[kind]
    before = shared_backbone(factory, pretrained=False, seed=0)
    assert shared_backbone(factory, pretrained=False, seed=0) is before
    time.sleep(0.05)  # more than a tick of the file system's clock
    with torch.no_grad():
        layer.weight.add_(1)
    torch.save(layer.state_dict(), path)
    after = shared_backbone(factory, pretrained=False, seed=0)
    assert torch.equal(after.weight, layer.weight)
    assert not torch.equal(after.weight, before.weight)


def test_a_setting_of_a_network_that_a_factory_copies():
    network = nn.Sequential(nn.Linear(3, 2), nn.LeakyReLU(0.1))
    factory = partial(deepcopy, network)
    assert shared_backbone(factory, pretrained=False, seed=0)[1].negative_slope == 0.1
    network[1].negative_slope = 0.2
    assert shared_backbone(factory, pretrained=False, seed=0)[1].negative_slope == 0.2


def test_a_global_name_of_a_checkpoint_that_a_factory_reads(tmp_path, monkeypatch):
    for name in ("first.pth", "second.pth"):
        torch.save(nn.Linear(3, 2).state_dict(), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    one = shared_backbone(reads_a_global, pretrained=False, seed=0)
    monkeypatch.setitem(globals(), "CHECKPOINT", "second.pth")
    two = shared_backbone(reads_a_global, pretrained=False, seed=0)
    assert torch.equal(two.weight, torch.load("second.pth")["weight"])
    assert not torch.equal(one.weight, two.weight)


def test_what_a_factory_notes_itself_changes_nothing():
    n, log = 0, []

    def factory():
        nonlocal n
        n += 1
        log.append("called")
        return nn.Linear(3, 2)

    one = shared_backbone(factory, pretrained=False, seed=0)
    assert shared_backbone(factory, pretrained=False, seed=0) is one
    assert (n, log) == (1, ["called"])


class Counting:
    """A factory with notes of its own: an attribute, a dictionary, a list, a cache."""

    def __init__(self):
        self.calls, self.times, self.log, self.cache = 0, {}, [], {}

    def __call__(self):
        self.calls += 1
        self.times["last"] = time.perf_counter()
        self.log.append("called")
        layer = self.cache.setdefault("layer", nn.Linear(3, 2))
        return deepcopy(layer)


def test_a_factory_that_counts_its_calls_is_called_once_for_each_seed():
    factory = Counting()
    for _ in range(3):
        for seed in (0, 1):
            shared_backbone(factory, pretrained=False, seed=seed)
    assert factory.calls == 2
    factory.cache["layer"] = nn.Linear(3, 4)  # its own, but another one's now
    factory.width = 4
    assert shared_backbone(factory, pretrained=False, seed=0).out_features == 4


def test_notes_of_a_factory_hide_no_file_that_changes_while_it_is_read(tmp_path):
    path = str(tmp_path / "layer.pth")
    torch.save(nn.Linear(3, 2).state_dict(), path)
    notes = {"calls": 0}

    def reads():
        notes["calls"] += 1
        layer = nn.Linear(3, 2)
        layer.load_state_dict(torch.load(path))
        if notes["calls"] == 1:  # a training goes on
            time.sleep(0.05)
            torch.save(nn.Linear(3, 2).state_dict(), path)
        return layer

    shared_backbone(reads, pretrained=False, seed=0)
    for _ in range(2):
        found = shared_backbone(reads, pretrained=False, seed=0)
        assert torch.equal(found.weight, torch.load(path)["weight"])
    assert notes["calls"] == 2


class Settings:
    width = np.int64(2)
    widths = (3, 2)
    options: ClassVar = {"bias": True}

    @classmethod
    def make(cls):
        return nn.Linear(cls.widths[0], int(cls.width), bias=cls.options["bias"])


@pytest.mark.parametrize(
    "kind", ["numpy", "list", "class", "dtype", "partial", "of class"]
)
def test_settings_of_a_factory_that_change(kind, monkeypatch):
    sizes, width, act, dtype = [3, 2], np.int64(2), nn.ReLU, torch.float32
    by = partial(nn.LeakyReLU, 0.1)

    def factory():
        layers = nn.Linear(sizes[0], sizes[1]), nn.Linear(2, int(width)), act(), by()
        return nn.Sequential(*layers).to(dtype)

    factory = Settings.make if kind == "of class" else factory
    before = shared_backbone(factory, pretrained=False, seed=0)
    assert shared_backbone(factory, pretrained=False, seed=0) is before
    if kind == "numpy":
        width = np.int64(4)
    elif kind == "list":
        sizes[0] = 4
    elif kind == "class":
        act = nn.GELU
    elif kind == "dtype":
        dtype = torch.float64
    elif kind == "partial":
        by = partial(nn.LeakyReLU, 0.2)
    else:
        monkeypatch.setitem(Settings.options, "bias", False)
    after = shared_backbone(factory, pretrained=False, seed=0)
    assert str(after) != str(before) or after[0].weight.dtype == torch.float64


def test_files_in_a_list_that_a_factory_reads(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.pth", "b.pth")]

    def save():
        for path in paths:
            torch.save(nn.Linear(3, 2).state_dict(), path)

    def mean():
        layer = nn.Linear(3, 2)
        parts = [torch.load(path) for path in paths]
        layer.load_state_dict({k: (parts[0][k] + parts[1][k]) / 2 for k in parts[0]})
        return layer

    save()
    before = shared_backbone(mean, pretrained=False, seed=0)
    assert shared_backbone(mean, pretrained=False, seed=0) is before
    time.sleep(0.05)
    save()
    after = shared_backbone(mean, pretrained=False, seed=0)
    assert torch.equal(after.weight, mean().weight)


@pytest.mark.parametrize("config", ["config.json", "adapter_config.json"])
@pytest.mark.parametrize("prefix", ["", "local-dir:"])
def test_a_folder_of_a_network_that_a_factory_reads(config, prefix, tmp_path):
    folder = f"{prefix}{tmp_path}"

    def save():
        torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "model.bin")

    def reads(folder=folder):  # as AutoModel.from_pretrained(folder) does
        layer = nn.Linear(3, 2)
        place = Path(folder.removeprefix(prefix))
        layer.load_state_dict(torch.load(place / "model.bin"))
        return layer

    (tmp_path / config).write_text("{}")
    save()
    before = shared_backbone(reads, pretrained=False, seed=0)
    assert shared_backbone(reads, pretrained=False, seed=0) is before
    time.sleep(0.05)
    save()
    after = shared_backbone(reads, pretrained=False, seed=0)
    assert torch.equal(after.weight, reads().weight)


def test_numbers_that_pytorch_does_not_have_do_not_stop_a_factory():
    ends = np.zeros(2, np.longdouble)
    made = shared_backbone(lambda: nn.Linear(3, len(ends)), pretrained=False, seed=0)
    assert made.out_features == 2


WIDTHS, ACTIVATION, BLOCKS = [4, 2], nn.ReLU, {"first": partial(nn.Linear, 3)}


def made_of_settings(more=[]):  # noqa: B006 - as notebooks have them
    linear = BLOCKS["first"](WIDTHS[0])
    return nn.Sequential(linear, ACTIVATION(), *(nn.Linear(4, n) for n in more))


def test_lists_classes_and_partials_that_a_factory_finds(monkeypatch):
    def now():
        return shared_backbone(made_of_settings, pretrained=False, seed=0)

    monkeypatch.setitem(globals(), "WIDTHS", [4, 2])
    first = now()
    assert now() is first
    monkeypatch.setitem(globals(), "ACTIVATION", nn.GELU)
    assert isinstance(now()[1], nn.GELU)
    monkeypatch.setitem(BLOCKS, "first", partial(nn.Linear, 3, bias=False))
    assert now()[0].bias is None
    WIDTHS[0] = 5
    assert now()[0].out_features == 5
    monkeypatch.setitem(globals(), "WIDTHS", [np.int64(4), 2])
    assert now()[0].out_features == 4
    monkeypatch.setattr(made_of_settings, "__defaults__", ([7],))
    assert now()[2].out_features == 7


def test_own_classes_in_a_registry_of_a_factory():
    def act(slope):
        class Act(nn.Module):
            def forward(self, x):
                return x * slope

        return Act

    registry = {"act": act(1)}

    def factory():
        return nn.Sequential(nn.Linear(3, 2), registry["act"]())

    before = shared_backbone(factory, pretrained=False, seed=0)
    assert shared_backbone(factory, pretrained=False, seed=0) is before
    registry["act"] = type("Act", (nn.Module,), {"forward": lambda self, x: x + 1})
    after = shared_backbone(factory, pretrained=False, seed=0)
    assert type(after[1]) is registry["act"]


def test_a_set_that_a_factory_finds():
    frozen = {"weight"}

    def factory():
        layer = nn.Linear(3, 2)
        for name in frozen:
            nn.init.zeros_(getattr(layer, name))
        return layer

    assert shared_backbone(factory, pretrained=False, seed=0).bias.any()
    frozen.add("bias")
    assert not shared_backbone(factory, pretrained=False, seed=0).bias.any()
