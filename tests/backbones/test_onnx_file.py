"""Weights from ONNX files, written here by hand."""

import struct

import numpy as np
import pytest

from modal_pretrain.backbones.onnx_file import read_onnx


def varint(value):
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, values, packed=False, kind=1):
    shape = values.shape
    dims = (
        field(1, b"".join(map(varint, shape)))
        if packed
        else b"".join(field(1, n) for n in shape)
    )
    return dims + field(2, kind) + field(8, name.encode()) + field(9, values.tobytes())


def node(name, *inputs):
    return b"".join(field(1, i.encode()) for i in inputs) + field(3, name.encode())


def model(*parts):
    graph = b"".join(field(number, part) for number, part in parts)
    fixed = varint(20 << 3 | 5) + struct.pack("<f", 1.0)  # a kind to be skipped
    return field(1, 8) + fixed + field(7, graph)


A = np.arange(300, dtype="<f4").reshape(2, 150)
B = np.ones((3,), dtype="<f4")


def test_names_and_values(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(
        model(
            (1, node("/layer/MatMul", "x", "onnx::MatMul_7")),
            (1, node("/one/Add", "onnx::Add_9")),
            (1, node("/two/Add", "onnx::Add_9")),
            (5, tensor("onnx::MatMul_7", A)),
            (5, tensor("layer.bias", B, packed=True)),
            (5, tensor("onnx::Add_9", B)),
            (5, tensor("shape", np.ones(2, dtype="<i8"), kind=7)),
        )
    )
    found = read_onnx(path)
    # Weights under a made-up name get that of the one node that takes them.
    assert list(found) == ["/layer/MatMul", "layer.bias", "onnx::Add_9"]
    np.testing.assert_array_equal(found["/layer/MatMul"], A)
    np.testing.assert_array_equal(found["layer.bias"], B)


@pytest.mark.parametrize(
    "content",
    [b"", b"half a download", model((5, tensor("a", A)))[:-9], b"\x3a\x05\xff"],
    ids=["empty", "text", "cut", "short"],
)
def test_damaged(content, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.onnx is no ONNX file, or cut short"):
        read_onnx(path)
