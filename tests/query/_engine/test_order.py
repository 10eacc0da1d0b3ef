"""The order of a pool by content, and the best of it."""

import io
import pathlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse import csr_matrix

from modal_pretrain.images import unread as _reader  # noqa: F401, as a model has it
from modal_pretrain.query._engine.order import canonical_order
from modal_pretrain.query._engine.select import top_k


def pools():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 5))
    sparse = X.copy()
    sparse[np.abs(sparse) < 1] = 0
    paths = [f"class-{i % 3}/{i}.png" for i in range(30)]
    return {
        "float64": X,
        "float32": X.astype(np.float32),
        "float16": X.astype(np.float16),
        "int": (X * 9).astype(np.int8),
        "bool": rng.random((30, 40)) < 0.5,
        "one column": X[:, :1],
        "images": rng.integers(256, size=(30, 4, 4, 3), dtype=np.uint8),
        "strided": X[:, ::2],
        "paths": np.array(paths),
        "list of paths": [pathlib.Path(path) for path in paths],
        "list of arrays": list(rng.integers(256, size=(30, 2, 2), dtype=np.uint8)),
        "list of lists": X.tolist(),
        "sparse": csr_matrix(sparse),
    }


def pick(X, order):
    return [X[i] for i in order] if isinstance(X, list) else X[order]


@pytest.mark.parametrize("kind", pools())
def test_canonical_order_does_not_depend_on_place(kind):
    X = pools()[kind]
    order = np.random.default_rng(1).permutation(30)
    a, b = canonical_order(X), canonical_order(pick(X, order))
    assert sorted(a.tolist()) == list(range(30))
    rows = [repr(row) for row in (X.toarray() if kind == "sparse" else X)]
    assert [rows[i] for i in a] == [rows[order[i]] for i in b]


def test_canonical_order_tells_rows_apart_that_differ_in_one_place():
    X = np.zeros((50, 1000), dtype=np.float32)
    X[np.arange(50), np.arange(50) * 7 + 1] = 1
    order = np.random.default_rng(1).permutation(50)
    a, b = canonical_order(X), canonical_order(X[order])
    np.testing.assert_array_equal(a, order[b])


def test_canonical_order_is_as_good_as_random():
    X = np.linspace(0, 1, 4000).reshape(-1, 1)
    first = canonical_order(X)[:400]
    assert 0.45 < X[first].mean() < 0.55
    assert abs(np.corrcoef(canonical_order(X), np.arange(4000))[0, 1]) < 0.05


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u2"])
def test_canonical_order_does_not_depend_on_how_numbers_are_stored(dtype):
    X = (np.random.default_rng(0).random((40, 5)) * 99).astype(dtype)
    order = canonical_order(X)
    for same in (X.astype(f">{dtype}"), memoryview(X), np.asfortranarray(X)):
        assert np.array_equal(canonical_order(same), order)


def test_canonical_order_of_arrays_of_objects_is_that_of_what_they_hold():
    # Their bytes are addresses, so each process drew other rows with one seed.
    rows = [[f"text {i}", i / 7] for i in range(30)]
    order = canonical_order(rows)
    arrays = [np.array(row, dtype=object) for row in rows]
    records = np.array([tuple(row) for row in rows], dtype="O,O")
    texts = [np.array(row[:1], dtype=np.dtypes.StringDType()) for row in rows]
    assert np.array_equal(canonical_order(arrays), order)
    assert np.array_equal(canonical_order(list(records)), order)
    assert np.array_equal(
        canonical_order(texts), canonical_order([[row[0]] for row in rows])
    )


def test_canonical_order_of_records_is_that_of_what_they_hold():
    texts = [f"text {i}" for i in range(30)]
    shades = [np.full((60, 60), i, np.uint8) for i in range(30)]
    pairs = list(zip(texts, shades, strict=True))
    records = [{"t": text, "p": Image.fromarray(shade)} for text, shade in pairs]
    same = [[("t", text), ("p", shade)] for text, shade in pairs]
    assert np.array_equal(canonical_order(records), canonical_order(same))
    rows = [np.arange(100.0) * i for i in range(30)]
    named = [pd.Series(row, name=f"row {i}") for i, row in enumerate(rows)]
    assert np.array_equal(canonical_order(named), canonical_order(rows))


def test_canonical_order_of_objects_that_show_their_address_is_their_own():
    objects = [object() for _ in range(30)]
    assert canonical_order(objects).tolist() == list(range(30))
    assert canonical_order([[one] for one in objects]).tolist() == list(range(30))
    holders = [SimpleNamespace(held=one) for one in objects]  # as a dataclass shows it
    assert canonical_order(holders).tolist() == list(range(30))


def test_canonical_order_of_sets_does_not_depend_on_how_they_were_filled():
    one, other = [{i, i + 8} for i in range(30)], [{i + 8, i} for i in range(30)]
    assert list(map(str, one)) != list(map(str, other))
    assert np.array_equal(canonical_order(one), canonical_order(other))


def test_canonical_order_of_encoded_pictures_does_not_read_byte_by_byte():
    data = [bytes([i] * 9) for i in range(30)]
    order = canonical_order(data)
    assert np.array_equal(canonical_order(list(map(bytearray, data))), order)


def test_canonical_order_of_mappings_is_their_own():
    assert canonical_order({"a": np.zeros(3)}).tolist() == [0, 1, 2]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30),
    st.data(),
)
def test_top_k(values, data):
    scores = np.array(values)
    n = len(scores)
    k = data.draw(st.integers(1, n))
    X = np.random.default_rng(0).random((n, 2))
    idx, best = top_k(scores, k, X)
    assert best.tolist() == sorted(values, reverse=True)[:k]
    np.testing.assert_array_equal(scores[idx], best)
    order = np.random.default_rng(1).permutation(n)
    moved, _ = top_k(scores[order] + 1e-16, k, X[order])
    np.testing.assert_array_equal(order[moved], idx)


def test_top_k_takes_the_first_of_equal_rows():
    X = np.zeros((5, 2))
    assert top_k(np.ones(5), 3, X)[0].tolist() == [0, 1, 2]


def test_canonical_order_leaves_opened_pictures_unread():
    rng = np.random.default_rng(0)
    read, unread = [], []
    for _ in range(5):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (9, 7, 3), dtype=np.uint8)).save(
            file, "png"
        )
        unread.append(Image.open(file))
        read.append(Image.open(io.BytesIO(file.getvalue())))
        read[-1].load()
    for _ in range(2):  # the second finds what the first has computed
        assert (canonical_order(unread) == canonical_order(read)).all()
    pairs = [[(image, "who") for image in images] for images in (unread, read)]
    assert (canonical_order(pairs[0]) == canonical_order(pairs[1])).all()
    assert all(image.fp is not None for image in unread)
