"""The seam between what X holds and everything that is done with it.

A modality is one object that says how its kind of X is read, which network it goes
through and how it trains. Estimators, cache, strategies and benchmark know this
protocol alone. `modal_pretrain.images.modality` and `modal_pretrain.text.modality`
stand beside each other; docs/extending.md adds a third.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import nn

from modal_pretrain._checks import Rule
from modal_pretrain._modalities import KNOWN, lookup, names
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.source import Source

__all__ = ["FineTuning", "Modality", "lookup", "names", "register"]


class FineTuning(NamedTuple):
    """The optimizer that "auto" stands for where the backbone trains.

    The default is the paper's for pictures.

    Parameters
    ----------
    optimizer : type of torch.optim.Optimizer, default=torch.optim.SGD
    lr : float, default=0.003
        The rate that "auto" stands for.
    kwargs : mapping, default={"momentum": 0.9}
        Further parameters of the optimizer.
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


class Modality(ABC):
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
    rules : mapping of str to Rule
        What parameters of its own may be, see `modal_pretrain._checks`.
    decisive : tuple of str
        Those among its parameters that embeddings depend on: a fitted classifier
        refuses to predict once they are others.
    """

    name: str
    fine_tuning: FineTuning = FineTuning()
    command_line: Mapping[str, Any] = MappingProxyType({})
    rules: Mapping[str, Rule] = MappingProxyType({})
    decisive: tuple[str, ...] = ()

    @abstractmethod
    def read(self, X: Any, estimator: Any, *, reset: bool = False) -> Source:
        """Check X and make a source of it.

        Parameters
        ----------
        X : object
            What the user passed.
        estimator : object
            The estimator that was asked.
        reset : bool, default=False
            Whether the estimator is fitted anew and may remember what X looks like.

        Returns
        -------
        Source

        Raises
        ------
        TypeError, ValueError
            If X does not fit. The message names the row and says how to repair X.
        """

    @abstractmethod
    def backbone(self, estimator: Any, seed: int, device: torch.device) -> nn.Module:
        """Return the frozen backbone with its initial weights.

        Parameters
        ----------
        estimator : object
            Whose parameters name it.
        seed : int
            Of a random initialisation.
        device : torch.device

        Returns
        -------
        torch.nn.Module
            The copy that `modal_pretrain.backbones.shared.shared` keeps.
        """

    @abstractmethod
    def encoder(
        self, backbone: nn.Module, estimator: Any, device: torch.device
    ) -> Encoder:
        """Build the encoder around a backbone.

        Parameters
        ----------
        backbone : torch.nn.Module
            What `backbone` returned, or a trained copy of it.
        estimator : object
        device : torch.device

        Returns
        -------
        Encoder
            See `Encoder.of`.
        """

    @abstractmethod
    def examples(
        self, source: Source, encoder: Encoder, y: np.ndarray | None = None
    ) -> Examples:
        """Return the examples of a backbone that trains.

        Parameters
        ----------
        source : Source
        encoder : Encoder
            With the backbone, for its preprocessing.
        y : numpy.ndarray or None, default=None
            int64 (n,) column numbers; None for prediction.

        Returns
        -------
        torch.utils.data.Dataset
            A `modal_pretrain.training.examples.RawSet`, unless rows need more.
        """

    def augmented(self, examples: Any, augment: Any) -> Examples:
        """Return examples that change at random while the backbone trains.

        Only classifiers that have a parameter `augment` need it.

        Parameters
        ----------
        examples : RawSet
            What `examples` returned.
        augment : object
            The parameter, not False.

        Returns
        -------
        torch.utils.data.Dataset
            A `modal_pretrain.training.augmented.AugmentedSet`.

        Raises
        ------
        ValueError
            If such rows cannot be augmented.
        """
        raise ValueError(
            f"augment={augment!r}, but the modality {self.name!r} has no augmentation. "
            "Set augment=False."
        )

    @abstractmethod
    def classifier(self) -> type:
        """Return the class that benchmarks train."""

    @abstractmethod
    def show(self, X: Any, row: int) -> Image.Image | str:
        """Return what stands for a row in a report.

        Parameters
        ----------
        X : object
            A data set's.
        row : int

        Returns
        -------
        PIL.Image.Image or str
            A picture, of which the report keeps a thumbnail, or a text.
        """


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
        If it is none, or has no name.
    ValueError
        If another modality has its name.
    """
    if not isinstance(modality, Modality) or not hasattr(modality, "name"):
        raise TypeError(
            "modality must be an instance of a subclass of "
            f"modal_pretrain.modality.Modality with a name, got {modality!r}."
        )
    known = KNOWN.get(modality.name)
    if not (known is None or _same(known, modality)):
        raise ValueError(
            f"There is a modality {modality.name!r} already: {known!r}. Choose another "
            "name."
        )
    KNOWN[modality.name] = modality
    return modality


def _same(known: Modality | str, modality: Modality) -> bool:
    """Say whether it is the expected one, or a cell of a notebook that ran again."""
    if isinstance(known, str):
        return type(modality).__module__ == known
    old, new = type(known), type(modality)
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)
