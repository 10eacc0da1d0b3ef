"""Which parameters a net has, which keywords its fit takes, and what each may be."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import nn

from modal_pretrain._checks import (
    SEED,
    Made,
    Number,
    OneOf,
    Rule,
    Whole,
    did_you_mean,
)
from modal_pretrain.embedding.parameters import VERBOSE
from modal_pretrain.reweighting._inputs import BALANCE, PENALTY, STRENGTH

SWITCH = OneOf((True, False))


@functools.cache
def known_parameters(cls: type) -> frozenset[str]:
    """Name the parameters of a class: its own, and those it passes on to its bases."""
    return frozenset(
        name
        for base in inspect.getmro(cls)[:-1]
        for name, parameter in inspect.signature(base).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    )


def check_keywords(
    owner: type, keywords: Iterable[str], module: nn.Module, inputs: frozenset[str]
) -> None:
    """Refuse keywords of fit that the module's forward does not take.

    Parameters
    ----------
    owner : type
        The net's class.
    keywords : iterable of str
        That `fit` does not know itself.
    module : torch.nn.Module
    inputs : frozenset of str
        What its forward gets from the batch.

    Raises
    ------
    TypeError
        Names the keyword, and the nearest there is.
    """
    forward = inspect.signature(module.forward).parameters
    if any(p.kind is p.VAR_KEYWORD for p in forward.values()):
        return
    fit = inspect.signature(owner.fit).parameters  # type: ignore[attr-defined]
    own = [n for n, p in fit.items() if n != "self" and p.kind is not p.VAR_KEYWORD]
    taken = set(forward) - inputs
    for name in keywords:
        if name not in taken:
            raise TypeError(
                f"{owner.__name__}.fit got an unexpected keyword argument {name!r}; it "
                f"takes {', '.join(own)}, and what the forward of its module takes."
                f"{did_you_mean(name, [*own, *taken])}"
            )


def _is_optimizer(value: Any) -> bool:
    if inspect.isclass(value):
        return issubclass(value, torch.optim.Optimizer)
    return callable(value)


def _is_callback(item: Any) -> bool:
    if isinstance(item, tuple | list):
        if len(item) != 2 or not isinstance(item[0], str):
            return False
        item = item[1]
        return item is None or _is_callback(item)
    if inspect.isclass(item):
        return issubclass(item, Callback)
    return isinstance(item, Callback)


def _are_callbacks(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_callback, value))


def _is_criterion(value: Any) -> bool:
    if inspect.isclass(value):
        return issubclass(value, nn.Module) and not issubclass(value, nn.NLLLoss)
    return callable(value) and not isinstance(value, nn.NLLLoss)


# What skorch has, and what `FewLabelsNet` adds.
NET_RULES: Mapping[str, Rule] = {
    "module": Made((nn.Module,), "a torch.nn.Module class or a factory", test=callable),
    "criterion": Made(
        (),
        "a class of losses on logits, such as torch.nn.CrossEntropyLoss",
        test=_is_criterion,
    ),
    "optimizer": Made(
        (),
        "an optimizer class, such as torch.optim.Adam",
        test=_is_optimizer,
        also=("auto",),
    ),
    "lr": Number(above=0, also=("auto",)),
    "max_epochs": Whole(also=("auto",)),
    "max_steps": Whole(),
    "stop_loss": Number(least=0, also=(None,)),
    "batch_size": Whole(also=(-1,), hint="-1 takes all examples at once."),
    "random_state": SEED,
    "verbose": VERBOSE,
    "iterator_train": Made((), "a class of loaders", test=callable),
    "iterator_valid": Made((), "a class of loaders", test=callable),
    "dataset": Made((), "a class of data sets", test=callable),
    "train_split": Made(
        (),
        "a function of a data set and y",
        test=callable,
        also=(None,),
        hint="skorch.dataset.ValidSplit(0.2, stratified=True) keeps a fifth of the "
        "labels for validation.",
    ),
    "callbacks": Made(
        (),
        "a list of skorch callbacks, or of pairs (name, callback)",
        test=_are_callbacks,
        also=(None, "disable"),
    ),
    "predict_nonlinearity": Made((), "a function", test=callable, also=("auto", None)),
    "warm_start": SWITCH,
    "compile": SWITCH,
    "use_caching": OneOf(("auto", True, False)),
    "torch_load_kwargs": Made((Mapping,), "a dict", also=(None,)),
}


# What `BaseClassifier` adds; the rest is at `modal_pretrain.embedding.parameters`.
HEAD_RULES: Mapping[str, Rule] = {
    "C": PENALTY,
    "class_weight": Made(
        (Mapping,), "a dict of label to weight", also=("balanced", None)
    ),
    "error_weighting": STRENGTH,
    "group_balance": BALANCE,
    "module__dropout": Number(least=0, below=1),
    "module__train_batch_norm": SWITCH,
}
