"""A modality from outside the package: signals of one length. See docs/extending.md."""

import hashlib

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

from modal_pretrain.backbones.create import create_backbone
from modal_pretrain.backbones.shared import shared
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.modality import FineTuning, Modality, register
from modal_pretrain.training.base import BaseClassifier
from modal_pretrain.training.examples import RawSet
from modal_pretrain.transformer import BaseTransformer


class SignalSource:
    """Rows of a checked float32 array (n, length)."""

    cacheable = True  # a look-up is cheaper than the network

    def __init__(self, signals):
        self.signals = signals

    def __len__(self):
        return len(self.signals)

    def take(self, indices):
        return SignalSource(self.signals[indices])

    def row_keys(self):
        return [hashlib.blake2b(row, digest_size=16).digest() for row in self.signals]

    def batches(self, preprocessing, batch_size, n_threads=None, *, pin_memory=False):
        for start in range(0, len(self), batch_size):
            yield torch.from_numpy(self.signals[start : start + batch_size])


class Centring:
    """From a batch (b, length) to what the network takes, (b, 1, length)."""

    def __init__(self, scale):
        self.scale = scale

    def fingerprint(self):
        return f"signals centred, scale={self.scale!r}"

    def prepare(self, batch):
        return self.scale * (batch - batch.mean(dim=1, keepdim=True))[:, None]


class Signals(Modality):
    name = "signal"
    fine_tuning = FineTuning(torch.optim.Adam, 0.01, {})
    decisive = ("scale",)  # embeddings depend on it: no prediction once it is another

    def read(self, X, estimator, *, reset=False):
        signals = np.asarray(X).astype(np.float32, "C")  # a copy: X may change
        if signals.ndim != 2 or signals.size == 0 or not np.isfinite(signals).all():
            raise ValueError(
                "X must hold finite signals of one length, (n, length) with n of at "
                f"least 1, got shape {signals.shape}."
            )
        return SignalSource(signals)

    def backbone(self, estimator, seed, device):
        name, pretrained = estimator.backbone, estimator.pretrained
        return shared(create_backbone, name, pretrained, seed, device)

    def encoder(self, backbone, estimator, device):
        return Encoder.of(backbone, Centring(estimator.scale), estimator, device)

    def examples(self, source, encoder, y=None):
        return RawSet(source, encoder, y)

    def classifier(self):
        return SignalClassifier

    def show(self, X, row):
        height = np.interp(X[row], (np.min(X[row]), np.max(X[row])), (60, 4))
        picture = Image.new("RGB", (96, 64), "white")
        points = list(zip(np.linspace(0, 95, len(height)), height, strict=True))
        ImageDraw.Draw(picture).line(points, fill="black")
        return picture


SIGNALS = register(Signals())


def network():
    """Any factory of a network from (n, 1, length) to (n, d)."""
    return nn.Sequential(
        nn.Conv1d(1, 16, 9, stride=2),
        nn.ReLU(),
        nn.Conv1d(16, 32, 9, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
    )


class SignalClassifier(BaseClassifier):
    modality = SIGNALS

    def __init__(self, backbone=network, *, pretrained=False, scale=1.0, **params):
        super().__init__(backbone, pretrained=pretrained, **params)
        self.scale = scale


class SignalEncoder(BaseTransformer):
    modality = SIGNALS

    def __init__(
        self,
        backbone=network,
        *,
        pretrained=False,
        scale=1.0,
        precision="auto",
        device="auto",
        cache="memory",
        batch_size=64,
        random_state=None,
        verbose=0,
    ):
        self.backbone = backbone
        self.pretrained = pretrained
        self.scale = scale
        self.precision = precision
        self.device = device
        self.cache = cache
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose
