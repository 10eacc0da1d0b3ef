"""The tensors of an ONNX file, read without the packages that run it.

An ONNX file is a protocol buffer. Only what holds weights is looked at: the graph's
initializers and which of them each node takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # PyTorch is imported where a file is read
    import torch

# Numbers of fields in onnx.proto3.
_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_NODE_INPUT, _NODE_NAME = 1, 3
_DIMS, _DATA_TYPE, _FLOAT_DATA, _NAME, _RAW_DATA = 1, 2, 4, 8, 9
_FLOAT = 1
# Kinds of fields in a protocol buffer, and the bytes of those of fixed length.
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}


def read_onnx(path: Path) -> dict[str, torch.Tensor]:
    """Read the float32 weights of an ONNX file.

    Parameters
    ----------
    path : Path
        Weights stand in the file itself, not in files beside it.

    Returns
    -------
    dict of str to torch.Tensor
        By the initializer's name. A name that the export made up (``onnx::...``)
        is replaced by that of the node that takes the weights, so that it does not
        depend on how nodes were counted. Where several nodes take them, it stays.

    Raises
    ------
    ValueError
        If the file is no ONNX file or ends too early.
    """
    try:
        graph = dict(_fields(memoryview(path.read_bytes())))[_GRAPH]
        tensors: dict[str, torch.Tensor] = {}
        takers: dict[str, list[str]] = {}
        for number, value in _fields(graph):
            if number == _INITIALIZER:
                name, tensor = _tensor(value)
                if tensor is not None:
                    tensors[name] = tensor
            elif number == _NODE:
                parts = list(_fields(value))
                node = "".join(_text(part) for n, part in parts if n == _NODE_NAME)
                for taken in (_text(part) for n, part in parts if n == _NODE_INPUT):
                    takers.setdefault(taken, []).append(node)
    except (IndexError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is no ONNX file, or cut short.") from error
    return {_lasting(name, takers.get(name, [])): t for name, t in tensors.items()}


def _lasting(name: str, nodes: list[str]) -> str:
    return nodes[0] if name.startswith("onnx::") and len(nodes) == 1 else name


def _tensor(message: memoryview) -> tuple[str, torch.Tensor | None]:
    name, dims, kind, raw = "", [], 0, memoryview(b"")
    for number, value in _fields(message):
        if number == _NAME:
            name = _text(value)
        elif number == _DIMS:  # packed into one field, or one field each
            dims += [value] if isinstance(value, int) else list(_varints(value))
        elif number == _DATA_TYPE:
            kind = value
        elif number in (_RAW_DATA, _FLOAT_DATA):
            raw = value
    if kind != _FLOAT:  # shapes and axes, in whole numbers
        return name, None
    # The file's bytes are read-only, and PyTorch wants to be able to write.
    values = np.frombuffer(raw, dtype="<f4").astype(np.float32)
    import torch

    return name, torch.from_numpy(values.reshape(dims))


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        else:
            length = _FIXED[kind]
        if at + length > len(message):
            raise IndexError("a field ends after the message")
        yield number, message[at : at + length]
        at += length


def _varints(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a whole number, seven bits a byte, and where the next field starts."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7


def _text(value: memoryview) -> str:
    return bytes(value).decode()
