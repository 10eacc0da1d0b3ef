"""Data sets and batches."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.table import TableSource
from modal_pretrain.images.accept import as_images
from modal_pretrain.images.preprocessing import Preprocessing
from modal_pretrain.training import examples as training
from modal_pretrain.training.examples import (
    BatchLoader,
    EmbeddedSet,
    ExampleSet,
    RawSet,
)

N = 24
CONFIG = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3}


@pytest.fixture
def encoder():
    return Encoder(
        nn.Identity(),
        Preprocessing.from_data_config(CONFIG, 16),
        device=torch.device("cpu"),
    )


@pytest.fixture
def embedded():
    return EmbeddedSet(np.arange(2 * N, dtype=np.float32).reshape(N, 2), np.arange(N))


@pytest.fixture
def pictured(pictures, encoder):
    return RawSet(as_images(pictures), encoder, np.arange(N))


def expected_pixels(pictures, encoder):
    return torch.stack(
        [
            encoder.preprocessing.normalise(
                torch.from_numpy(encoder.preprocessing.apply_uint8(picture))[None]
            )[0]
            for picture in pictures
        ]
    )


def collect(loader):
    batches = list(loader)
    (key,) = batches[0][0]
    return torch.cat([inputs[key] for inputs, _ in batches]), torch.cat(
        [y for _, y in batches]
    )


def sizes(loader):
    return [len(y) for _, y in loader]


# Data sets ----------------------------------------------------------------------------


def test_embedded_set(embedded):
    inputs, target = embedded[3]
    assert inputs["embedding"].tolist() == [6, 7]
    assert target == 3
    assert len(embedded) == N
    assert EmbeddedSet(np.zeros((4, 2), np.float32)).y.tolist() == [0] * 4


def test_picture_set(pictured, pictures, encoder):
    expected = expected_pixels(pictures, encoder)
    inputs, target = pictured[3]
    assert inputs["inputs"].shape == (3, 16, 16)
    torch.testing.assert_close(inputs["inputs"], expected[3])
    assert target == 3
    some = pictured.inputs(np.array([5, 0, 5]))["inputs"]
    torch.testing.assert_close(some, expected[[5, 0, 5]])


def test_pictures_are_decoded_once_where_they_fit(pictures, encoder, monkeypatch):
    source = as_images(pictures)
    loads = []
    original = type(source).load_pil
    monkeypatch.setattr(
        type(source), "load_pil", lambda self, i: loads.append(i) or original(self, i)
    )
    small = RawSet(source, encoder)
    expected = expected_pixels(pictures, encoder)
    for _ in range(3):
        got = small.inputs(np.array([1, 2]))["inputs"]
        torch.testing.assert_close(got, expected[[1, 2]])
    assert sorted(loads) == [0, *range(N)]  # the first tells how large they are
    loads.clear()
    monkeypatch.setattr(training, "_KEEP_BYTES", 10)
    large = RawSet(source, encoder)
    for _ in range(3):
        got = large.inputs(np.array([1, 2]))["inputs"]
        torch.testing.assert_close(got, expected[[1, 2]])
    assert len(loads) == 1 + 6


def test_picture_set_of_a_table(encoder):
    examples = RawSet(TableSource(np.eye(3)), encoder)
    assert examples.inputs(np.array([2]))["inputs"].tolist() == [[0, 0, 1]]
    assert (
        collect(BatchLoader(examples, batch_size=2))[0].tolist() == np.eye(3).tolist()
    )


# Batches ------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 5, 24, 100])
@pytest.mark.parametrize("kind", ["embedded", "pictured"])
def test_in_order(request, kind, batch_size):
    examples = request.getfixturevalue(kind)
    loader = BatchLoader(examples, batch_size=batch_size)
    values, y = collect(loader)
    (expected,) = examples.inputs(np.arange(N)).values()
    torch.testing.assert_close(values, expected)
    assert y.tolist() == list(range(N))
    assert sizes(loader) == sizes(DataLoader(examples, batch_size))
    assert len(loader) == len(list(loader))


@pytest.mark.parametrize("kind", ["embedded", "pictured"])
def test_shuffled(request, kind):
    examples = request.getfixturevalue(kind)
    loader = BatchLoader(examples, batch_size=5, shuffle=True)
    torch.manual_seed(0)
    one, two = collect(loader), collect(loader)
    torch.manual_seed(0)
    again = collect(loader)
    (expected,) = examples.inputs(np.arange(N)).values()
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[1], two[1])
    for values, y in (one, two):
        assert sorted(y.tolist()) == list(range(N))
        assert torch.equal(values, expected[y])


@pytest.mark.parametrize(
    "n, batch_size, expected",
    [
        (24, 23, [24]),
        (24, 8, [8, 8, 8]),
        (21, 5, [5, 5, 5, 6]),
        (22, 5, [5, 5, 5, 5, 2]),
        (1, 5, [1]),
        (3, 1, [1, 2]),
    ],
)
def test_last_batch_of_one_joins_the_one_before(n, batch_size, expected):
    examples = EmbeddedSet(np.zeros((n, 2), np.float32))
    loader = BatchLoader(examples, batch_size=batch_size, shuffle=True)
    assert sizes(loader) == expected
    assert len(loader) == len(expected)


@pytest.mark.parametrize("kind", ["embedded", "pictured"])
@pytest.mark.parametrize(
    "indices",
    [[3, 1, 7], list(range(N)), list(range(N))[::-1], [0] * N, np.arange(5), []],
    ids=["some", "all", "backwards", "repeated", "array", "none"],
)
def test_subsets(request, kind, indices):
    examples = request.getfixturevalue(kind)
    loader = BatchLoader(Subset(examples, indices), batch_size=5)
    assert len(loader) == len(list(loader))
    if not len(indices):
        return
    values, y = collect(loader)
    (expected,) = examples.inputs(np.asarray(indices)).values()
    torch.testing.assert_close(values, expected)
    assert y.tolist() == list(indices)


def test_subset_of_a_subset(embedded):
    nested = Subset(Subset(embedded, [5, 6, 7, 8]), [3, 0])
    assert collect(BatchLoader(nested))[1].tolist() == [8, 5]


def test_other_data_sets_get_a_dataloader():
    data = TensorDataset(torch.arange(6.0), torch.arange(6))
    loader = BatchLoader(data, batch_size=4, drop_last=True)
    assert [batch[1].tolist() for batch in loader] == [[0, 1, 2, 3]]
    assert len(loader) == 1


def test_arguments_of_a_dataloader_are_refused(embedded):
    with pytest.raises(TypeError, match=r"no argument 'num_workers'.*=torch\.utils"):
        BatchLoader(embedded, num_workers=2)


def test_dataloader_takes_the_data_sets(embedded, pictured):
    for examples in (embedded, pictured):
        values, y = collect(DataLoader(examples, batch_size=7))
        (expected,) = examples.inputs(np.arange(N)).values()
        torch.testing.assert_close(values, expected)
        assert y.tolist() == list(range(N))


def test_example_set_is_abstract():
    with pytest.raises(NotImplementedError):
        ExampleSet(3, None)[0]
