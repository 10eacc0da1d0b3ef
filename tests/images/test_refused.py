"""What is not pictures is refused, with a way out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from PIL import Image
from sklearn.utils import check_X_y

from modal_pretrain.images.accept import as_images
from tests.images.cases import (
    KINDS,
    N,
    as_paths,
    objects,
)

U8 = np.zeros((4, 8, 9, 3), np.uint8)


F32 = np.zeros((4, 3, 8, 9), np.float32)


def spoilt(value):
    X = F32.copy()
    X[2, 1, 3, 3] = value
    return X


REFUSED = {
    "0-255 floats": (F32 + 200, ValueError, r"X\[0\] .* 200 to 200.*Divide by 255"),
    "above 255": (spoilt(999), ValueError, r"X\[2\] .* 0 to 999.*by the largest"),
    "normalised": (spoilt(-2), ValueError, r"X\[2\] .*from -2.*normalised already"),
    "slightly out": (spoilt(1.01), ValueError, r"X\[2\] .* 1\.01"),
    "NaN": (spoilt(np.nan), ValueError, r"X\[2\] contains NaN or infinity.*nan_to_num"),
    "inf": (spoilt(np.inf), ValueError, r"X\[2\] contains NaN or infinity"),
    "-inf": (spoilt(-np.inf), ValueError, r"X\[2\] contains NaN or infinity"),
    "float channels last": (
        U8 / 255, ValueError, r"channels last.*X\.transpose\(0, 3, 1, 2\)",
    ),
    "float RGBA channels last": (
        np.zeros((2, 8, 9, 4)), ValueError, r"transpose\(0, 3, 1, 2\) after dropping",
    ),
    "uint8 channels first": (
        U8.transpose(0, 3, 1, 2), ValueError, r"first.*X\.transpose\(0, 2, 3, 1\)",
    ),
    "int64": (U8.astype(np.int64), TypeError, r"int64.*X\.astype\(numpy\.uint8\)"),
    "int8": (U8.astype(np.int8), TypeError, "int8"),
    "uint32": (U8.astype(np.uint32), TypeError, "uint32"),
    "bool": (U8.astype(bool), TypeError, r"bool.*\* 255"),
    "complex": (F32.astype(complex), ValueError, "Complex data not supported"),
    "datetime": (U8.astype("M8[s]"), TypeError, "datetime64"),
    "no batch axis": (U8[0], ValueError, r"one picture.*X\[None\]"),
    "no batch axis, RGBA": (
        np.zeros((8, 9, 4), np.uint8), ValueError, r"X\[None\]",
    ),
    "no batch axis, float": (F32[0], ValueError, r"one picture.*X\[None\]"),
    "no batch axis, float last": (U8[0] / 255, ValueError, r"one picture.*X\[None\]"),
    "grey floats": (np.zeros((5, 8, 9)), ValueError, r"X\[:, None\]"),
    "tabular": (np.zeros((150, 4)), ValueError, r"\(150, 4\).*tabular.*are expected"),
    "tabular uint8": (np.zeros((150, 4), np.uint8), ValueError, r"tabular.*X\[None\]"),
    "tabular int64": (np.zeros((150, 4), int), ValueError, "tabular"),
    "tabular lists": ([[0.5, 1.0], [2.0, 3.0]], ValueError, "tabular"),
    "1-D": (np.zeros(7), ValueError, "tabular"),
    "5-D": (np.zeros((1, 2, 3, 8, 8), np.float32), ValueError, r"\(n, 3, h, w\)"),
    "5-D uint8": (np.zeros((1, 2, 8, 8, 3), np.uint8), ValueError, r"\(n, h, w, 3\)"),
    "2 channels": (np.zeros((2, 8, 9, 2), np.uint8), ValueError, r"\(n, h, w, 3\)"),
    "2 channels, float": (np.zeros((2, 2, 8, 9)), ValueError, r"\(n, 3, h, w\)"),
    "0-D": (np.array(3.0), TypeError, "single value"),
    "0-D path": (
        np.array("a.png"), TypeError, r"single value.*write X\.reshape\(1\)"),
    "a file's content": (memoryview(b"abc"), TypeError, r"memoryview.*BytesIO\(X\)"),
    "set": ({"a.png", "b.png"}, TypeError, r"set\..* no order: try sorted\(X\)"),
    "empty": (U8[:0], ValueError, r"Found array with 0 sample\(s\) .* minimum of 1 is"),
    "empty list": ([], ValueError, r"Found array with 0 sample\(s\)"),
    "empty paths": (np.array([], "<U5"), ValueError, r"Found array with 0 sample\(s\)"),
    "empty Series": (pd.Series([], dtype=str), ValueError, "Found array with 0 sample"),
    "empty tensor": (torch.zeros(0, 3, 4, 4), ValueError, "Found array with 0 sample"),
    "sparse": (scipy.sparse.eye(5), TypeError, "sparse"),
    "sparse array": (scipy.sparse.coo_array((5, 5)), TypeError, "sparse"),
    "sparse tensor": (torch.zeros(2, 3, 4, 4).to_sparse(), TypeError, "sparse"),
    "no pixels": (np.zeros((2, 0, 9, 3), np.uint8), ValueError, "no pixels"),
    "no pixels, float": (np.zeros((2, 3, 8, 0)), ValueError, "no pixels"),
    "no pixels, PIL": ([Image.new("RGB", (0, 3))], ValueError, r"X\[0\].*without pix"),
    "no pixels, list": ([np.zeros((0, 9, 3), np.uint8)], ValueError, "no pixels"),
    "single path": ("cat.jpg", TypeError, r"single path.*\[X\]"),
    "single Path": (Path("cats"), TypeError, r"single path.*\[X\]"),
    "single image": (Image.new("RGB", (3, 3)), TypeError, r"single PIL image.*\[X\]"),
    "path and image": (
        ["a.jpg", Image.new("RGB", (3, 3))],
        TypeError,
        r"mixes kinds: X\[0\] is a path, X\[1\] a PIL image",
    ),
    "image and array": (
        [Image.new("RGB", (3, 3))] * 2 + [U8[0]], TypeError, r"X\[2\] an array",
    ),
    "bytes": (b"cat.jpg", TypeError, "bytes"),
    "list of bytes": ([b"cat.jpg"], TypeError, r"X\[0\] is bytes.*fsdecode"),
    "array of bytes": (np.array([b"cat.jpg"]), TypeError, r"X\[0\] is bytes"),
    "None": (["a.jpg", None], ValueError, r"X\[1\] is missing"),
    "only None": (None, TypeError, "NoneType"),
    "NaN in a Series": (pd.Series(["a.jpg", np.nan]), ValueError, r"X\[1\] is missing"),
    "NA in a Series": (
        pd.Series(["a.jpg", pd.NA], dtype="string"), ValueError, r"X\[1\] is missing",
    ),
    "NaN in objects": (objects(["a.jpg", np.nan]), ValueError, r"X\[1\] is missing"),
    "empty path": (["a.jpg", ""], ValueError, r"X\[1\] is an empty path"),
    "DataFrame": (pd.DataFrame({"a": ["x"], "b": ["y"]}), TypeError, r"2 columns.*X\["),
    "numeric DataFrame": (pd.DataFrame({"a": [1.5]}), TypeError, r"X\[0\] is of type"),
    "numeric Series": (pd.Series([1, 2]), TypeError, r"X\[0\] is of type int"),
    "list of numbers": ([1, 2, 3], TypeError, r"X\[0\] is of type int"),
    "generator": ((p for p in ["a.jpg"]), TypeError, "generator"),
    "dict": ({"x": U8}, TypeError, "dict"),
    "list of dicts": ([{}], TypeError, r"X\[0\] is of type dict"),
    "channels first in a list": (
        [U8[0].transpose(2, 0, 1)], ValueError, r"X\[0\]\.transpose\(1, 2, 0\)",
    ),
    "float channels last in a list": (
        [F32[0], U8[0] / 255], ValueError, r"X\[1\]\.transpose\(2, 0, 1\)",
    ),
    "floats out of range in a list": (
        [F32[0], F32[0] + 9], ValueError, r"^X\[1\] has values from 9 to 9",
    ),
    "batches in a list": ([U8], ValueError, r"X\[0\].*\(h, w, 3\) is expected"),
    "int64 in a list": ([U8[0].astype(int)], TypeError, r"X\[0\] has dtype int64"),
    "ragged nested lists": (
        [U8[0].tolist(), U8[0, :5].tolist()], ValueError, "sizes.*uint8 arrays",
    ),
    "nested lists out of range": (
        (U8 + 0x100 * np.uint16(1)).tolist(), ValueError, "from 0 to 256",
    ),
    "masked": (
        np.ma.masked_equal(np.insert(U8, 1, 7, axis=0), 7),
        ValueError, r"X is a masked array with 216 masked .*X\.filled\(0\)",
    ),
    "masked, in a list": (
        [U8[0], np.ma.masked_less(U8[1], 1)], ValueError, r"X\[1\] is a masked array",
    ),
    "meta tensor": (
        torch.zeros(2, 3, 8, 9, device="meta"), ValueError, "'meta'.*no values.*CPU",
    ),
    "meta tensor in a list": (
        [torch.zeros(3, 8, 9), torch.zeros(3, 8, 9, device="meta")],
        ValueError, r"X\[1\] is on the device 'meta'",
    ),
    "float8 tensor": (
        torch.zeros(2, 3, 8, 9).to(torch.float8_e4m3fn),
        TypeError, r"X has dtype torch\.float8_e4m3fn.*X\.float\(\)",
    ),
    "float8 tensor in a list": (
        [torch.zeros(3, 8, 9).to(torch.float8_e5m2)],
        TypeError, r"X\[0\] has dtype torch\.float8_e5m2",
    ),
    "nested lists of paths": ([["a", "b"], ["c", "d"]], TypeError, "not of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    X, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        as_images(X)


@pytest.mark.parametrize(
    ("tensor", "error", "match"),
    [
        (torch.zeros(2, 8, 9, 3), ValueError, r"X\.permute\(0, 3, 1, 2\)"),
        (
            torch.zeros(2, 3, 8, 9, dtype=torch.uint8),
            ValueError,
            r"X\.permute\(0, 2, 3,",
        ),
        (
            torch.zeros(2, 8, 9, 3, dtype=torch.int64),
            TypeError,
            r"X\.to\(torch\.uint8\)",
        ),
        (torch.full((2, 3, 8, 9), 200.0), ValueError, "Divide by 255"),
        (torch.full((2, 3, 8, 9), torch.nan), ValueError, "NaN.*torch.nan_to_num"),
        (torch.zeros(2, 8, 9, 3).bfloat16(), ValueError, r"X\.permute\(0, 3, 1, 2\)"),
        (torch.full((2, 3, 8, 9), 200.0).bfloat16(), ValueError, "Divide by 255"),
        (torch.full((2, 3, 8, 9), torch.nan).bfloat16(), ValueError, "NaN"),
        (torch.zeros(3, 8, 9).bfloat16(), ValueError, r"X\[None\]"),
        (torch.tensor(1.0), TypeError, "single value"),
        (torch.tensor(1.0).bfloat16(), ValueError, "pictures are expected"),
        (torch.zeros(1, 3, 4, 4).cfloat().conj(), ValueError, "Complex data not"),
    ],
)
def test_refused_tensors(tensor, error, match):
    with pytest.raises(error, match=match):
        as_images(tensor)


def test_errors_use_the_name_given():
    with pytest.raises(ValueError, match=r"X_pool\[2\] contains NaN"):
        as_images(spoilt(np.nan), name="X_pool")
    with pytest.raises(TypeError, match=r"X_pool mixes kinds"):
        as_images(["a", Image.new("L", (2, 2))], name="X_pool")


def test_the_bad_row_is_found_beyond_the_first_chunk():
    X = np.zeros((200, 3, 96, 96), np.float32)
    X[173, 0, 0, 0] = 2
    with pytest.raises(ValueError, match=r"X\[173\] has values from 0 to 2"):
        as_images(X)


def test_float_range_check_is_chunked(tmp_path):
    import tracemalloc

    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(2000, 3, 64, 64))  # 98 MB
    tracemalloc.start()
    as_images(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(
    "kind",
    ["uint8", "array of str", "object array of str", "object array of PIL",
     "object array of Path"],
)  # fmt: skip
def test_after_what_modal_does_to_arrays(X, kind, tmp_path):
    pool = KINDS[kind](X, tmp_path)
    keys = as_images(pool).row_keys()
    check_X_y(pool, np.arange(N), ensure_2d=False, allow_nd=True, dtype=None)
    stacked = np.concatenate([pool[:2], pool[[4, 3]]])
    assert as_images(stacked).row_keys() == [keys[k] for k in (0, 1, 4, 3)]
    np.testing.assert_array_equal(as_images(stacked).load(2), X[4])
    smaller = np.delete(pool, [0, 2], axis=0)
    assert as_images(smaller).row_keys() == [keys[k] for k in (1, 3, 4)]
    check_X_y(stacked, np.arange(4), ensure_2d=False, allow_nd=True, dtype=None)


def test_object_arrays_of_arrays_of_different_sizes():
    # scikit-learn's check_X_y, which modAL calls, refuses these; slicing works.
    pool = objects([np.full((h, 4, 3), h, np.uint8) for h in (2, 3, 5)])
    source = as_images(np.concatenate([pool[:1], np.delete(pool, [0, 1])]))
    assert [source.load(k).shape[0] for k in range(2)] == [2, 5]


def test_strings_of_different_lengths_after_concatenation(X, tmp_path):
    paths = as_paths(X, tmp_path)
    long = tmp_path / ("x" * 50 + ".png")
    long.write_bytes(paths[0].read_bytes())
    joined = np.concatenate([np.array([str(paths[1])]), np.array([str(long)])])
    np.testing.assert_array_equal(as_images(joined).load(1), X[0])


@pytest.mark.parametrize("kind", ["list of arrays", "list of str", "nested lists"])
def test_after_what_modal_does_to_lists(X, kind, tmp_path):
    pool = KINDS[kind](X, tmp_path)
    keys = as_images(pool).row_keys()
    stacked = np.concatenate([pool[:2], pool[3:]]).tolist()
    assert as_images(stacked).row_keys() == [keys[k] for k in (0, 1, 3, 4)]
    smaller = np.delete(pool, [0, 2], axis=0).tolist()
    assert as_images(smaller).row_keys() == [keys[k] for k in (1, 3, 4)]
    rows = np.array(pool)[[3, 1]].tolist()
    assert as_images(rows).row_keys() == [keys[k] for k in (3, 1)]


@pytest.mark.skipif(
    np.__version__.startswith("1."), reason="NumPy 1 cannot stack lists of pictures"
)
def test_same_size_pil_lists_survive_concatenation(X):
    pool = [Image.fromarray(x) for x in X]
    stacked = np.concatenate([pool[:2], pool[3:]]).tolist()
    np.testing.assert_array_equal(as_images(stacked).block(0, 4), X[[0, 1, 3, 4]])


@pytest.mark.parametrize(
    "make",
    [
        lambda X: X,
        lambda X: X.astype(">u2"),
        list,
        lambda X: torch.from_numpy(X),
        lambda X: list(torch.from_numpy(X)),
    ],
)
def test_fewer_bits_in_16_are_warned_of(make):
    X = np.zeros((3000, 8, 9, 3), np.uint16)
    X[-1, -1] = 200
    for largest, fix in ((200, r"X\.astype\(numpy\.uint8"), (4095, r"X \* 16\.")):
        X[-1, 0, 0, 0] = largest
        with pytest.warns(UserWarning, match=rf"no value above {largest}\..* {fix}"):
            source = as_images(make(X))
        # What it means all the same.
        assert source.load(len(X) - 1).max() == round(largest / 257)
    X[-1, 0, 0, 0] = 4096
    as_images(make(X))
    as_images(make(X[:-1]))  # black


def test_masked_arrays_without_masked_values():
    X = np.ma.masked_equal(U8, 7)
    np.testing.assert_array_equal(as_images(X).load(0), U8[0])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensor():
    X = torch.nested.nested_tensor([torch.zeros(3, 8, 9), torch.zeros(3, 5, 9)])
    with pytest.raises(TypeError, match=r"nested tensor. Pass list\(X\.unbind\(\)\)"):
        as_images(X)


def test_tensors_in_a_list_have_words_of_their_own():
    item = torch.zeros(3, 8, 9, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"channels first.*X\[0\]\.permute\(1, 2, 0\)"):
        as_images([item])


@pytest.mark.parametrize("X", [{1: "a.png"}.values(), (p for p in ["a.png"])])
def test_what_has_no_rows_to_pick(X):
    with pytest.raises(TypeError, match=r"X is of type \w+\. .*Try list\(X\)\."):
        as_images(X)


@pytest.mark.parametrize("label", [1, "cat"])
@pytest.mark.parametrize("picture", [U8[0], Image.new("RGB", (9, 8))])
def test_pairs_of_picture_and_label(picture, label):
    with pytest.raises(TypeError, match=r"one picture is expected.*pair\[0\] for pair"):
        as_images([(picture, label)] * 2)


def test_pairs_of_path_and_label():
    with pytest.raises(TypeError, match=r"one picture is expected.*pair\[0\] for pair"):
        as_images([("cat/1.png", 0), ("dog/1.png", 1)])
