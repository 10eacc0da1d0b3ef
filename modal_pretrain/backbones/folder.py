"""Weights in more than one file: a folder as the hub lays it out, and parts of one."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import timm
import torch

from modal_pretrain._identity import expanded, file_identity, read_whole
from modal_pretrain.backbones.weights import BackboneWeightsError, read_checkpoint

# Five digits, as the hub writes parts: "fold-1-of-5.pth" is a checkpoint of its own.
_PART = re.compile(r".*-\d{5}-of-(?!0000[01])(\d{5})\.\w+")
_INDEX = ".index.json"
# What timm takes before all others; a list of parts goes behind it.
_FIRST = (
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    f"model.safetensors{_INDEX}",
    f"pytorch_model.bin{_INDEX}",
)
_ENDS = (".safetensors", ".pth", ".pth.tar", ".bin")
_GIVE = "Name the architecture as backbone and the file as pretrained."


def is_list_of_parts(path: Path) -> bool:
    """Say whether a file is called like the list of a checkpoint's parts."""
    return path.name.endswith(_INDEX)


def files_of(path: str | Path) -> tuple:
    """Return path and identity of a file, or of those in a folder; () for nothing."""
    place = expanded(path)
    if is_list_of_parts(place):
        place = place.parent
    with suppress(OSError, ValueError):  # which whoever reads them will explain
        paths = [place]
        if place.is_dir():
            # sentence-transformers says in a folder of its own how tokens are pooled.
            paths = sorted([*place.iterdir(), *place.glob("*/config.json")])
            for whole, _ in may_be_of(place):
                paths += [whole / "modules.json", *sorted(whole.glob("*/config.json"))]
        files = [p for p in paths if p.is_file()]
        return tuple((os.path.abspath(p), *file_identity(p)) for p in files)
    return ()


def may_be_of(network: Path) -> list[tuple[Path, str]]:
    """Return the folders of whose model another folder may be the network.

    Older versions of sentence-transformers put it beside the pooling's folder.

    Parameters
    ----------
    network : Path
        A folder, or a link to one: as it is named and where it is, both count.

    Returns
    -------
    list of (Path, str)
        Folders with a modules.json, and the network's name in each.
    """
    ways = os.path.abspath(network), os.path.realpath(network)
    places = [Path(way) for way in dict.fromkeys(ways)]
    return [
        (place.parent, place.name)
        for place in places
        if (place.parent / "modules.json").is_file()
    ]


def check_folder(name: str, folder: Path) -> None:
    """Raise BackboneWeightsError unless timm can make the network of a folder.

    Parameters
    ----------
    name : str
        What the error calls it.
    folder : Path
        As ``timm.models.save_for_hf`` writes it, or a snapshot of the hub's.
    """
    file = folder / "config.json"
    try:
        config = _read_json(file, "It says whose weights the folder holds: copy it.")
    except BackboneWeightsError as error:
        raise BackboneWeightsError(
            f"backbone={name!r} cannot be made: {error}"
        ) from error.__cause__
    found = config.get("architecture")
    if isinstance(found, str) and timm.models.is_model(found.partition(".")[0]):
        return
    kind = config.get("model_type")
    if found is None and kind is not None:
        problem = f"is of transformers (model_type {kind!r}), not of timm"
    else:
        problem = f"names no architecture of timm's, but {found!r:.80}"
    raise BackboneWeightsError(
        f"backbone={name!r} cannot be made: {file} {problem}. Take the weights in "
        "timm's layout, or, if their keys are timm's, name the architecture as "
        "backbone and their file as pretrained."
    )


def folder_checkpoint(folder: Path) -> Path:
    """Return the checkpoint of a folder: the one that timm takes, or a list of parts.

    Raises
    ------
    BackboneWeightsError
        If there is none, or several and nobody can tell which is meant.
    """
    for name in _FIRST:
        if (folder / name).is_symlink() or (folder / name).exists():
            return folder / name
    for end in _ENDS:
        found = sorted(path.name for path in folder.glob(f"[!.]*{end}"))
        if len(found) == 1:
            return folder / found[0]
        if any(map(_PART.fullmatch, found)):
            lists = [*folder.glob(f"[!.]*{_INDEX}")]
            if len(lists) == 1 and all(map(_PART.fullmatch, found)):
                return lists[0]
            raise BackboneWeightsError(
                f"{folder} holds parts of a checkpoint ({', '.join(found[:4])}), but "
                f"not their list, *{_INDEX}, or more than them. Copy it, too, or name "
                "the architecture as backbone and the list as pretrained."
            )
        if found:
            raise BackboneWeightsError(
                f"{folder} holds several checkpoints ({', '.join(found[:4])}), none of "
                f"them called model{_ENDS[0]}. {_GIVE}"
            )
    raise BackboneWeightsError(
        f"{folder} holds no checkpoint: expected is model.safetensors, or another file "
        f"that ends in {', '.join(_ENDS)}."
    )


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a checkpoint, or of all parts that a list names.

    Parameters
    ----------
    path : Path
        See `read_checkpoint`; or a file that ends in .index.json.

    Returns
    -------
    dict of str to torch.Tensor

    Raises
    ------
    BackboneWeightsError
        If a file is missing or can't be read, or is one of several parts.
    """
    part = _PART.fullmatch(path.name)
    if part is not None:
        raise BackboneWeightsError(
            f"{path} is one of {int(part[1])} parts of a checkpoint. Give the file "
            f"beside it whose name ends in {_INDEX}."
        )
    if not is_list_of_parts(path):
        return read_checkpoint(path)
    where = _read_json(path, "Copy it again.").get("weight_map")
    names = [*where.values()] if isinstance(where, dict) else []
    if not names or not all(isinstance(n, str) and n == Path(n).name for n in names):
        raise BackboneWeightsError(
            f"{path} is no list of a checkpoint's parts: expected is an entry "
            "'weight_map' of tensors and the files beside it that hold them."
        )
    state: dict[str, torch.Tensor] = {}
    for name in sorted({*names}):
        if not path.with_name(name).is_file():
            raise BackboneWeightsError(
                f"{path} names the part {name}, which is not there. Copy it, too."
            )
        state |= read_checkpoint(path.with_name(name))
    return state


def _read_json(path: Path, hint: str) -> dict[str, Any]:
    try:
        content = json.loads(read_whole(path))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BackboneWeightsError(f"{path} can't be read: {reason}. {hint}") from error
    if not isinstance(content, dict):
        raise BackboneWeightsError(
            f"{path} holds a {type(content).__name__}, expected is a JSON object. "
            f"{hint}"
        )
    return content
