"""Tables of embeddings in place of pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from PIL import Image
from torch import nn

from modal_pretrain.embedding.table import TableSource, is_table
from tests.embedding.cases import objects


def test_tables(make_encoder):
    X = np.arange(6.0).reshape(3, 2)
    encoder = make_encoder(nn.Identity, pretrained=False).fit(X)
    np.testing.assert_array_equal(encoder.transform(X), X.astype(np.float32))
    assert encoder.n_features_in_ == encoder.n_features_out_ == 2
    with pytest.raises(ValueError, match="X has 3 features"):
        encoder.transform(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        encoder.transform(np.full((3, 2), np.nan))


# What counts as a table ---------------------------------------------------------------


@pytest.mark.parametrize(
    "X, expected",
    [
        (np.zeros((3, 2)), True),
        (np.zeros(3), True),
        ([[1, 2], [3, 4]], True),
        ([[1, "a"], [3, 4]], False),
        (np.array([[1, 2.5]], dtype=object), True),
        (scipy.sparse.eye(3), True),
        (torch.zeros(3, 2), True),
        (torch.zeros(3, 2, 2, 3), False),
        (np.zeros((3, 2, 2, 3)), False),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, 1]}), True),
        (pd.DataFrame({"a": [1, 2]}, dtype="Int64"), True),
        (pd.DataFrame({"path": ["a.png"]}), False),
        (pd.DataFrame({"path": ["a.png"]}, dtype=object), False),
        (pd.Series(["a.png"]), False),
        (["a.png", "b.png"], False),
        (np.array(["a.png", "b.png"]), False),
        (np.array(["a.png", "b.png"], dtype=object), False),
        (np.array([["a.png"], ["b.png"]], dtype=object), False),
        (np.array([["a", "b"]], dtype=object), True),
        ([Path("a.png")], False),
        (objects([Path("a.png"), Path("b.png")]), False),
        ([Image.new("RGB", (3, 3))], False),
        (objects([Image.new("RGB", (3, 3)), Image.new("RGB", (3, 3))]), False),
        ([np.zeros((2, 2, 3)), np.zeros((3, 2, 3))], False),
        (objects([np.zeros((2, 2, 3)), np.zeros((3, 2, 3))]), False),
        (np.zeros((0, 2)), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tables_are_told_from_pictures(X, expected):
    assert is_table(X) == expected


def test_table_source():
    source = TableSource(np.arange(10.0).reshape(5, 2))
    assert len(source) == 5
    assert [len(batch) for batch in source.batches(None, 2)] == [2, 2, 1]
    assert torch.cat(list(source.batches(None, 2))).tolist() == source.table.tolist()
    assert source.take([3, 0]).table.tolist() == [[6, 7], [0, 1]]


def test_rows_of_a_data_set_are_no_table():
    assert not is_table([{"image": np.zeros((8, 9, 3), np.uint8), "label": 1}])
