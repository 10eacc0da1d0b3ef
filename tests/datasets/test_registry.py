"""Names of data sets, and what they hold before they are loaded."""

import inspect

import pytest

from modal_pretrain import datasets
from modal_pretrain.datasets import registry
from modal_pretrain.modality import names as modalities

LOADERS = [name for name in datasets.__all__ if name[:5] in ("load_", "make_")]


def test_every_loader_that_declares_what_it_holds_has_a_name_and_no_other():
    declared = {
        getattr(datasets, name)
        for name in LOADERS
        if hasattr(getattr(datasets, name), "modality")
    }
    named = {registry.loader(name) for name in registry.names()}
    # Besides the two that the package does not bring.
    assert {f.__name__ for f in named - declared} == {"rare_subclasses", "snippets"}
    assert declared < named
    assert len(named) == len(registry.names())


@pytest.mark.parametrize("name", registry.names())
def test_what_is_declared_is_known(name):
    assert "modality" in vars(registry.loader(name))
    assert registry.modality_of(name, {}) in modalities()


@pytest.mark.parametrize(
    "name, params, modality",
    [
        ("civilcomments", {}, "text"),
        ("modal_pretrain.datasets:load_civilcomments", {}, "text"),
        ("modal_pretrain.datasets:load_amazon", {}, "text"),
        ("reviews", {}, "text"),
        ("snippets", {}, "text"),
        ("waterbirds", {}, "image"),
        ("csv", {"text": "review"}, "text"),
        ("csv", {"image": "file"}, "image"),
        ("modal_pretrain.datasets:from_huggingface", {"text": "t"}, "text"),
        ("modal_pretrain.datasets:from_torchvision", {}, "image"),
    ],
)
def test_modality(name, params, modality):
    assert registry.modality_of(name, params) == modality


def test_a_name_and_its_path_are_one_loader():
    assert registry.loader("modal_pretrain.datasets:make_shapes") is registry.loader(
        "shapes"
    )
    assert "root" in inspect.signature(registry.loader("civilcomments")).parameters


@pytest.mark.parametrize(
    "name, match",
    [
        ("shaps", "no dataset 'shaps'. Did you mean 'shapes'"),
        ("composites", "no dataset 'composites'"),
        ("no.such.module:load", "no dataset 'no.such.module:load': ModuleNotFound"),
        ("modal_pretrain.datasets:nothing", "has no attribute 'nothing'"),
        ("modal_pretrain.datasets:__all__", "__all__ is no function but of type list"),
        (":x", "no dataset ':x'"),
    ],
)
def test_what_there_is_not(name, match):
    with pytest.raises(ValueError, match=match):
        registry.loader(name)
