"""The seam between what X holds and everything that is done with it.

A modality is one object that says how its kind of X is read, which network it goes
through and how it trains. Estimators, cache, strategies and benchmark know this
protocol alone. `modal_pretrain.images.modality` and `modal_pretrain.text.modality`
stand beside each other; docs/extending.md adds a third.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import nn

from modal_pretrain._checks import did_you_mean
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.source import Source

__all__ = ["Examples", "FineTuning", "Modality", "lookup", "names", "register"]


class FineTuning(NamedTuple):
    """The optimizer that "auto" stands for where the backbone trains.

    The default is the paper's for pictures: SGD at 0.003 with momentum 0.9.
    """

    optimizer: type[torch.optim.Optimizer] = torch.optim.SGD
    lr: float = 0.003
    kwargs: Mapping[str, Any] = {"momentum": 0.9}


class Examples(Protocol):
    """Rows and targets as the training loop takes them, see `RawSet`."""

    y: np.ndarray

    def __len__(self) -> int:
        """Return the number of rows."""

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return what the network's forward takes, by name, on any device."""

    def stream(self, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
        """Yield `inputs` of all rows, in order."""


class Modality(Protocol):
    """One kind of X: read, embedded, trained on and shown.

    Subclass it, fill in the methods, and hand an instance to a `BaseClassifier`, a
    `BaseTransformer` and `register`. Its methods get the estimator, whose parameters
    only its modality knows.

    Attributes
    ----------
    name : str
        What a `GroupedDataset` calls it.
    fine_tuning : FineTuning
    command_line : mapping of str to object
        Parameters of the classifier that ``modal-pretrain bench`` sets where nobody
        does, with their values.
    """

    name: str
    fine_tuning: FineTuning = FineTuning()
    command_line: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def read(self, X: Any, estimator: Any, *, reset: bool = False) -> Source:
        """Check X and make a source of it; raise what names argument and row.

        With `reset` the estimator may remember what X looks like, else compare.
        """

    @abstractmethod
    def backbone(self, estimator: Any, seed: int, device: torch.device) -> nn.Module:
        """Return the frozen initial backbone, see `modal_pretrain.backbones.shared`."""

    @abstractmethod
    def encoder(
        self, backbone: nn.Module, estimator: Any, device: torch.device
    ) -> Encoder:
        """Build the encoder around a backbone, see `Encoder.of`."""

    @abstractmethod
    def examples(
        self, source: Source, encoder: Encoder, y: np.ndarray | None = None
    ) -> Examples:
        """Return the examples of a backbone that trains: `RawSet`, say."""

    @abstractmethod
    def classifier(self) -> type:
        """Return the class that benchmarks train."""

    @abstractmethod
    def show(self, X: Any, row: int) -> Image.Image | str:
        """Return what stands for a row in a report: a picture or a text."""


# By name: a modality, or the module that registers it when it is imported.
_KNOWN: dict[str, Modality | str] = {}


def register(modality: Modality) -> Modality:
    """Make a modality known by its name, to data sets and benchmarks.

    Parameters
    ----------
    modality : Modality

    Returns
    -------
    Modality
        The same, so that it can be used in an assignment.

    Raises
    ------
    TypeError
        If it lacks something.
    ValueError
        If another modality has its name.
    """
    members = {*Modality.__annotations__, *Modality.__abstractmethods__}
    lacking = sorted(name for name in members if not hasattr(modality, name))
    if lacking or isinstance(modality, type):
        what = f"lacks {', '.join(lacking)}" if lacking else "is a class"
        raise TypeError(
            f"modality {what}; expected an instance of a subclass of "
            f"modal_pretrain.modality.Modality, got {modality!r}."
        )
    known = _KNOWN.get(modality.name)
    if not (known is None or _same(known, modality)):
        raise ValueError(
            f"There is a modality {modality.name!r} already: {known!r}. Choose another "
            "name."
        )
    _KNOWN[modality.name] = modality
    return modality


def _same(known: Modality | str, modality: Modality) -> bool:
    """Say whether it is the expected one, or a cell of a notebook that ran again."""
    if isinstance(known, str):
        return type(modality).__module__ == known
    old, new = type(known), type(modality)
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)


def register_module(name: str, module: str) -> None:
    """Name the module that registers a modality, to be imported when it is needed."""
    _KNOWN.setdefault(name, module)


def names() -> tuple[str, ...]:
    """List the modalities that are known."""
    return tuple(_KNOWN)


def lookup(name: str) -> Modality:
    """Return a modality by its name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Modality

    Raises
    ------
    ValueError
        If there is none of that name.
    ImportError
        If it needs a package that is not installed.
    """
    check_name(name)
    known = _KNOWN[name]
    if isinstance(known, str):
        importlib.import_module(known)
        known = _KNOWN[name]
        assert not isinstance(known, str)
    return known


def check_name(name: str) -> None:
    """Raise a ValueError unless a modality of that name is known."""
    if name not in _KNOWN:
        raise ValueError(
            f"modality must be one of {', '.join(_KNOWN)}, got {name!r}."
            f"{did_you_mean(name, _KNOWN)} Others are made known by "
            "modal_pretrain.modality.register."
        )
