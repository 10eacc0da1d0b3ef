"""Pictures as a modality, and tables where the backbone is a factory of a network."""

from __future__ import annotations

import importlib
from copy import copy
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.utils.validation import check_array, validate_data
from torch import nn

from modal_pretrain._checks import Made, OneOf, Whole, take_rows
from modal_pretrain._inputs.numbers import of_tensor
from modal_pretrain.backbones.create import data_config
from modal_pretrain.backbones.names import check_name
from modal_pretrain.backbones.shared import shared_backbone
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.engine import ENGINE
from modal_pretrain.embedding.parameters import Pixels
from modal_pretrain.embedding.source import Source
from modal_pretrain.embedding.table import TableSource, is_table
from modal_pretrain.images.accept import as_images
from modal_pretrain.images.augmentation import CropFlip, EachPicture, with_margin
from modal_pretrain.images.preprocessing import Preprocessing
from modal_pretrain.modality import Modality, register
from modal_pretrain.training.augmented import AugmentedSet
from modal_pretrain.training.examples import RawSet


class _Backbone(Made):
    """A name that timm has, or a function that returns a network."""

    def check(self, name: str, value: Any) -> Any:
        """Return the value; raise ValueError if there is no such network."""
        if isinstance(super().check(name, value), str):
            check_name(value)
        return value


class Pictures(Modality):
    """Pictures for any backbone; 2-D tables of numbers for a factory's module."""

    name = "image"
    rules = MappingProxyType(
        {
            "backbone": _Backbone(
                (str,), "a timm model name, or a factory", test=callable
            ),
            "image_size": Pixels(),
            "n_threads": Whole(also=(None,)),
            "compile": OneOf((True, False)),
            "engine": ENGINE,
            "scaled_decoding": OneOf((True, False)),
            "augment": Made(
                (),
                "a function of a picture",
                test=callable,
                also=(False, True, "crop-flip"),
            ),
        }
    )
    decisive = ("image_size", "engine", "scaled_decoding")

    def read(self, X: Any, estimator: Any, *, reset: bool = False) -> Source:
        """Check pictures, or a table, whose columns the estimator remembers."""
        if callable(estimator.backbone) and is_table(X):
            if np.ma.is_masked(X):
                raise ValueError(
                    "X is a masked array with masked values. Fill them (X.filled(0)), "
                    "or drop the rows."
                )
            X = of_tensor(X, "X")
            if reset or hasattr(estimator, "n_features_in_"):
                X = validate_data(estimator, X, dtype=np.float32, reset=reset)
            else:  # tagged or embedded before the fit: there are no names to compare
                X = check_array(
                    X, dtype=np.float32, estimator=estimator, input_name="X"
                )
            return TableSource(X)
        return as_images(X).scaled(estimator.scaled_decoding)

    def backbone(self, estimator: Any, seed: int, device: torch.device) -> nn.Module:
        """Return the shared network, adapted to the size of the pictures."""
        return shared_backbone(
            estimator.backbone,
            estimator.pretrained,
            seed,
            device,
            estimator.image_size,
        )

    def encoder(
        self, backbone: nn.Module, estimator: Any, device: torch.device
    ) -> Encoder:
        """Build an encoder with the preprocessing the backbone was trained with."""
        return Encoder.of(
            backbone,
            Preprocessing.from_data_config(data_config(backbone), estimator.image_size),
            estimator,
            device,
            n_threads=estimator.n_threads,
            compile=estimator.compile,
            engine=estimator.engine,
        )

    def examples(
        self, source: Source, encoder: Encoder, y: np.ndarray | None = None
    ) -> RawSet:
        """Return pictures that are decoded once where memory allows."""
        return RawSet(source, encoder, y)

    def augmented(self, examples: RawSet, augment: Any) -> AugmentedSet:
        """Return pictures that are cropped and flipped, or changed as the user says."""
        if isinstance(examples.source, TableSource):
            raise ValueError(
                f"augment={augment!r} is for pictures, but X is a table. Set "
                "augment=False."
            )
        if callable(augment):
            return AugmentedSet(examples, EachPicture(augment))
        encoder = copy(examples.encoder)
        scoring = encoder.preprocessing
        assert isinstance(scoring, Preprocessing)  # as `encoder` made it
        encoder.preprocessing = with_margin(scoring)
        raw = RawSet(examples.source, encoder, examples.y)
        return AugmentedSet(raw, CropFlip(scoring.size))

    def classifier(self) -> type:
        """Return `PretrainedClassifier`, which stands above this module."""
        return importlib.import_module("modal_pretrain.classifier").PretrainedClassifier

    def show(self, X: Any, row: int) -> Image.Image:
        """Return the picture, decoded."""
        return as_images(take_rows(X, [row])).load_pil(0)


PICTURES = register(Pictures())
