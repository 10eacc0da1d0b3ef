"""Checkpoints, and the proof that pretrained weights fit."""

from __future__ import annotations

import contextlib
import functools
import threading
import zipfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from modal_pretrain._fork import Lock
from modal_pretrain._identity import expanded, file_identity
from modal_pretrain.backbones.device import seeded

_MAX_KEYS_SHOWN = 8
_MOST_ZEROS = 0.05  # share of the weights in tensors of zeros alone
_LOCK = Lock()


class BackboneWeightsError(RuntimeError):
    """Pretrained weights were asked for and could not be loaded completely."""


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a checkpoint; pickled code in it is refused.

    Parameters
    ----------
    path : Path
        What timm reads: a state dict, alone or under a name such as "state_dict".

    Returns
    -------
    dict of str to torch.Tensor
        At least one.

    Raises
    ------
    BackboneWeightsError
        If the file can't be read, or holds no tensors by name.
    """
    try:
        file_identity(path)  # what is no file might be waited for
    except OSError as error:
        reason = error.strerror or error
        raise BackboneWeightsError(f"{path} can't be read: {reason}.") from error
    try:
        state = timm.models.load_state_dict(str(path), weights_only=True)
        # A list or a tensor has no names; a number is none.
    except (AttributeError, TypeError) as error:
        raise BackboneWeightsError(f"{path} {_NO_STATE}") from error
    except Exception as error:  # of pickle, zipfile, safetensors
        size = path.stat().st_size if path.exists() else 0
        raise BackboneWeightsError(
            f"{path} ({size} bytes) is no checkpoint that can be read: "
            f"{what_it_is(path, error)}"
        ) from error
    elsewhere = _where_else(state)  # the loss beside them may be a tensor, too
    if (
        elsewhere
        or not all(isinstance(key, str) for key in state)
        or not any(isinstance(value, torch.Tensor) for value in state.values())
    ):
        raise BackboneWeightsError(f"{path} {_NO_STATE}{elsewhere}")
    state.pop("n_averaged", None)  # the count that PyTorch's AveragedModel keeps
    return state


def _where_else(content: Mapping[Any, Any]) -> str:
    """Say which entries hold tensors by name, as those of DINO and of tutorials do."""
    found = [
        key
        for key, value in content.items()
        if isinstance(value, Mapping)
        and not str(key).endswith("_extra_state")  # of a layer, in PyTorch's terms
        and any(isinstance(some, torch.Tensor) for some in value.values())
    ]
    shown = ", ".join(map(repr, found[:_MAX_KEYS_SHOWN]))
    return f" There are some under {shown}: save one of these alone." if found else ""


_AGAIN = "Copy or download it again."
_POINTER = b"version https://git-lfs"
# What other files than checkpoints begin with, or checkpoints under other names.
_BEGINNINGS = {
    _POINTER: "it is a Git LFS pointer. Run `git lfs pull`.",
    b"<?xml": (
        "it is XML, such as OpenVINO's of a network, or a server's answer in place of "
        "a file. Save the network's weights by PyTorch."
    ),
    b"<": f"it is a web page. {_AGAIN}",
    b"\x1f\x8b": "it is compressed. Unpack it with gunzip.",
    b"\x89HDF": "it is an HDF5 file, not PyTorch's.",
    b"\x93NUMPY": "it is an array of NumPy, not a state dict of PyTorch.",
    b"{": (
        "it is JSON, such as a configuration or the index of weights in several files. "
        "Give a file that holds all weights."
    ),
}


def what_it_is(path: Path, error: Exception) -> str:
    """Say what a file is that is no readable checkpoint, and what to do about it.

    Parameters
    ----------
    path : Path
    error : Exception
        What reading it gave.

    Returns
    -------
    str
    """
    first = _first(path)
    for beginning, words in _BEGINNINGS.items():
        if first.startswith(beginning):
            return words
    if path.suffix.lower() == ".onnx":  # which begins with no bytes of its own
        return (
            "it is an ONNX file, of a network that was exported, not PyTorch's. Save "
            "the weights by PyTorch before the export."
        )
    if path.suffix != ".safetensors" and first[8:10] == b'{"':
        return "it is a safetensors file. Give it a name that ends in .safetensors."
    if path.suffix == ".safetensors" and first.startswith(b"PK"):
        return "it is in PyTorch's own format. Give it a name that ends in .pth."
    if first.startswith(b"PK") and (other := _other_archive(path)):
        return other
    if "TorchScript" in str(error):
        return (
            "it is a TorchScript archive. Save its weights alone: "
            "torch.save(torch.jit.load(path).state_dict(), path)."
        )
    text = f"{type(error).__name__}: {str(error).rstrip('.')}."
    if "nsupported global" in str(error):
        return (
            f"it holds more than tensors, which might run code ({text}) Where you "
            "trust it, read it with torch.load(path, weights_only=False), and save the "
            "tensors of its state dict alone."
        )
    return f"{text} {_AGAIN}"


def _other_archive(path: Path) -> str:
    """Say what a zip archive is that isn't PyTorch's, which are such archives, too."""
    with contextlib.suppress(OSError, zipfile.BadZipFile):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        last = [name.rpartition("/")[2] for name in names]
        if "archive_format" in last:
            return (
                "it is an exported program. Save its weights alone: "
                "torch.save(dict(torch.export.load(path).state_dict), new_path)."
            )
        if names and all(name.endswith(".npy") for name in names):
            return "it holds arrays of NumPy (.npz), not a state dict of PyTorch."
        if names and "data.pkl" not in last:
            return f"it is a zip archive that holds {names[0]!r}. Unpack it."
    return ""


def is_pointer(path: Path) -> bool:
    """Say whether Git LFS would put another file in the place of this one."""
    return path.is_file() and _first(path).startswith(_POINTER)


def _first(path: Path) -> bytes:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(64)
    return b""


_NO_STATE = (
    "holds no weights: expected are tensors by name, as state_dict() gives them, alone "
    "or under 'state_dict' or 'model'. Save them with torch.save(model.state_dict(), "
    "path)."
)


def checkpoint_path(pretrained: str | Path) -> Path:
    """Return the path of a checkpoint that is there, or raise."""
    if not isinstance(pretrained, str | Path):
        raise TypeError(
            "pretrained must be True, False or the path of a checkpoint, got "
            f"{pretrained!r:.80} of type {type(pretrained).__name__}."
        )
    path = expanded(pretrained)
    try:
        file_identity(path)
    except FileNotFoundError:
        problem = "there is no such file"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    else:
        return path
    raise BackboneWeightsError(
        f"pretrained={str(pretrained)!r}: {problem}. Give the path of a .safetensors, "
        ".pth, .pt or .bin checkpoint, or True for the packaged weights or the hub."
    )


class HeadKeys:
    """The keys of a timm model's classification head, some of which it may lack."""

    def __init__(self, backbone: nn.Module, params: dict[str, Any]) -> None:
        self.backbone = backbone
        self.params = params
        self.config: dict[str, Any] = backbone.pretrained_cfg  # type: ignore[assignment]
        layers = self.config.get("classifier") or ()
        layers = (layers,) if isinstance(layers, str) else layers
        # Inception has a second head, for training alone.
        self.prefixes = (*(f"{layer}." for layer in layers), "AuxLogits.")

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
    found: dict[str, list[str]] = {"missing": [], "unexpected": []}
    for result in loads:
        for kind in ("missing", "unexpected"):
            # What the network has of a head must come from somewhere, too.
            may_differ = head if kind == "unexpected" else ()
            keys = [k for k in getattr(result, f"{kind}_keys") if k not in may_differ]
            found[kind] += keys
            if keys:
                shown = ", ".join(keys[:_MAX_KEYS_SHOWN])
                more = len(keys) - _MAX_KEYS_SHOWN
                shown += f" and {more} more" if more > 0 else ""
                problems.append(f"{len(keys)} {kind}: {shown}")
    if problems:
        raise BackboneWeightsError(
            f"The weights from {where} do not fit: {'; '.join(problems)}. Only keys of "
            "a classification head may differ, where it is known which they are. "
            f"{_remedy(**found, head=head)}"
        )


def _remedy(missing: list[str], unexpected: list[str], head: Container[str]) -> str:
    """Say what may be done, such as where a wrapper put a name before all keys."""
    if missing and not unexpected and all(key in head for key in missing):
        return "The head would stay random: leave num_classes out."
    first = missing[:1]
    ends = {key.removesuffix(f".{first[0]}") for key in unexpected if first}
    whole = [
        name
        for name in sorted(ends, key=lambda end: (len(end), end))
        if all(f"{name}.{key}" in unexpected for key in missing)
    ]
    if whole:  # several where a student and its average are in one file
        shown = " or ".join(f"'{name}.'" for name in whole)
        return (
            f"They are there under names that begin with {shown}: save {{key."
            f"removeprefix('{whole[0]}.'): value}} for these keys of the state dict."
        )
    if not missing:  # as of a factory, whose head nobody can tell
        return (
            "Nothing is missing. If these are of a head, save the state dict without "
            "them; if they are of more layers, it is another architecture's."
        )
    return "Is the checkpoint of this architecture?"


def check_values(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Raise BackboneWeightsError if what was loaded are no weights to compute with.

    Parameters
    ----------
    module : torch.nn.Module
        After it loaded.
    state : mapping of str to torch.Tensor
        What it loaded. PyTorch casts integers, such as quantised weights, and complex
        numbers without a word.
    """
    n_weights, empty = 0, {}
    # Buffers may well be zeros, as where a head began, which a net keeps.
    weights = {key for key, _ in module.named_parameters(remove_duplicate=False)}
    for key, here in module.state_dict().items():
        tensor = state.get(key)
        if not (isinstance(tensor, torch.Tensor) and isinstance(here, torch.Tensor)):
            continue  # missing, or an extra state
        if not here.is_floating_point():
            continue
        if key in weights:
            n_weights += here.numel()
        if key in weights and here.ndim > 1 and not here.any():
            empty[key] = here.numel()
        if not tensor.is_floating_point():
            raise BackboneWeightsError(
                f"{key} holds numbers of {tensor.dtype}, expected are floats. Are the "
                "weights quantised? Save those of before."
            )
        # A buffer may be a mask, of which -inf takes out what must not count.
        bad = here.isnan() | (here.isinf() if key in weights else here.isposinf())
        if bad.any():
            raise BackboneWeightsError(
                f"{key} holds NaN or infinity. Was the checkpoint saved after training "
                "diverged? Take an earlier one."
            )
    share = sum(empty.values()) / max(n_weights, 1)
    if share > _MOST_ZEROS:  # a few are, of parts that were never trained
        raise BackboneWeightsError(
            f"{100 * share:.0f} % of the weights are in matrices of zeros alone, such "
            f"as {next(iter(empty))}. Was the file copied or downloaded in part? Bring "
            "it again."
        )


@contextlib.contextmanager
def recorded_loads() -> Iterator[list]:
    """Record and check what load_state_dict does: timm logs missing keys at most."""
    results: list = []
    original = nn.Module.load_state_dict
    here = threading.get_ident()

    def recording(self, state_dict, *args, **kwargs):
        result = original(self, state_dict, *args, **kwargs)
        if threading.get_ident() == here:
            check_values(self, state_dict)
            results.append(result)
        return result

    with _LOCK:
        nn.Module.load_state_dict = recording  # type: ignore[method-assign]
        try:
            yield results
        finally:
            nn.Module.load_state_dict = original  # type: ignore[method-assign]
