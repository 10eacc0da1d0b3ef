"""Own code that changes counts in the fingerprint, see `backbones.code`."""

import functools
from types import MethodType

import pytest
import torch
from torch import nn

from modal_pretrain.backbones import fingerprint as implementation
from modal_pretrain.backbones.fingerprint import fingerprint


def test_class_defined_anew_under_its_old_name():
    def define(factor):
        class Net(nn.Module):
            def forward(self, x):
                return factor * x

        return Net

    one, two = define(1), define(2)
    assert one.__qualname__ == two.__qualname__
    assert fingerprint(one()) == fingerprint(one())
    assert fingerprint(one()) != fingerprint(two())


def _edit_method(namespace, text):
    exec(text.replace("mean", "amax"), other := dict(namespace))
    namespace["Pooled"].forward = other["Pooled"].forward


def _edit_in_place(namespace, text):  # as IPython's %autoreload does it
    exec(text.replace("mean", "amax"), other := dict(namespace))
    namespace["Pooled"].forward.__code__ = other["Pooled"].forward.__code__


def _edit_helper(namespace, text):
    exec(text[text.index("def pool") :].replace("sum", "prod"), namespace)


@pytest.mark.parametrize("edit", [_edit_method, _edit_in_place, _edit_helper])
def test_code_that_changes_while_its_class_stays(edit):
    text = """
class Pooled(nn.Module):
    def forward(self, x):
        return pool(x.mean(3))

def pool(x):
    return x.sum(2)
"""
    namespace = {"nn": nn, "__name__": "__main__"}
    exec(text, namespace)
    module = namespace["Pooled"]()
    before = fingerprint(module)
    for _ in range(100):  # Python specialises what runs often
        module(torch.ones(1, 3, 2, 2))
    assert fingerprint(module) == before
    edit(namespace, text)
    assert fingerprint(module) != before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def pool(x, how='sum'): pass", "def pool(x, how='mean'): pass"),
        ("def pool(x, *, power=3): pass", "def pool(x, *, power=4): pass"),
        ("def pool(x, axes=(1,)): pass", "def pool(x, axes=(1, 2)): pass"),
        ("@lru_cache\ndef pool(x): return 1", "@lru_cache\ndef pool(x): return 2"),
        (
            "def f(x): return 1\npool = partial(f)",
            "def f(x): return 2\npool = partial(f)",
        ),
        ("", "Pooled.power = 2"),
        (
            "def pool(x): return 1\nmake = lambda: patched(Pooled.forward)",
            "def pool(x): return 2",
        ),
    ],
)
def test_edits_of_what_a_method_calls(before, after):
    def patched(forward):  # an object's own method, on a network of PyTorch
        module = nn.Identity()
        module.forward = MethodType(forward, module)
        return module

    text = """
class Pooled(nn.Module):
    power = 1
    def forward(self, x):
        return pool(x)
"""
    namespace = {"nn": nn, "patched": patched, "__name__": "__main__"}
    namespace |= {"lru_cache": functools.lru_cache, "partial": functools.partial}
    exec(text + before, namespace)
    module = namespace.get("make", namespace["Pooled"])()
    old = fingerprint(module)
    assert fingerprint(module) == old
    exec(after, namespace)
    assert fingerprint(module) != old


def test_the_code_of_a_class_is_read_once_for_all_its_modules(monkeypatch):
    class Block(nn.Module):
        def forward(self, x):
            return x

    read = []
    code_of = implementation.code_of
    monkeypatch.setattr(
        implementation, "code_of", lambda *args: read.append(args) or code_of(*args)
    )
    fingerprint(nn.Sequential(*(Block() for _ in range(5))))
    assert len(read) == 1
