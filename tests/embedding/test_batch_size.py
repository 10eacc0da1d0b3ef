"""Batch sizes found by measuring and by running out of memory, on a made-up device."""

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain import TimmEncoder
from modal_pretrain.embedding import encoder as embedding_module
from modal_pretrain.embedding.batch_size import OutOfMemory, best_batch_size, in_parts


class Device:
    """A device with a clock: a constant for each call, and a time for each row."""

    def __init__(self, call, row, memory=10**9):
        self.call, self.row, self.memory = call, row, memory
        self.now = 0.0
        self.ran = []

    def run(self, rows):
        self.ran.append(rows)
        if rows > self.memory:
            raise OutOfMemory("made up")
        self.now += self.call + rows * self.row

    def best(self, **params):
        return best_batch_size(self.run, clock=lambda: self.now, **params)


@pytest.mark.parametrize(
    "call, expected",
    # Doubling b rows gains (call + b) / (call + b / 2): 5 % at b = 19 calls.
    [(0, 32), (1, 32), (10, 128), (1000, 1024)],
)
def test_doubles_while_that_gains(call, expected):
    assert Device(call, 1).best() == expected


def test_the_largest_that_fits():
    device = Device(1000, 1, memory=200)
    assert device.best() == 128
    assert device.ran == [32, 32, 64, 64, 128, 128, 256]  # each once to warm up


def test_nothing_fits():
    assert Device(1, 1, memory=8).best() == 16  # halved further when it runs


def test_limits():
    assert Device(1000, 1).best(smallest=8, largest=20) == 16


def mean_rows(memory):
    def run(part):
        if len(part) > memory:
            raise OutOfMemory("made up")
        return part.clone()

    return run


@pytest.mark.parametrize("memory", [1, 2, 3, 5])
def test_halves_until_it_fits_and_remembers(memory):
    backbone, batch = nn.Identity(), torch.arange(11)
    with pytest.warns(RuntimeWarning, match="has no memory for 11 rows at a time"):
        parts = list(in_parts(backbone, batch, mean_rows(memory)))
    assert torch.equal(torch.cat(parts), batch)
    assert max(map(len, parts)) <= memory
    # No warning, which would be an error here, for the next batch.
    parts = list(in_parts(backbone, batch, mean_rows(memory)))
    assert torch.equal(torch.cat(parts), batch)


def test_one_row_that_does_not_fit():
    with pytest.raises(OutOfMemory):
        list(in_parts(nn.Identity(), torch.arange(2), mean_rows(0)))


class Small(nn.Module):
    """A backbone for a device that holds five pictures."""

    def forward(self, x):
        if len(x) > 5:
            raise OutOfMemory("made up")
        return x.mean((2, 3))


def test_embedding_goes_on_with_fewer_rows(pictures):
    params = {"pretrained": False, "image_size": 32, "cache": None, "device": "cpu"}
    expected = TimmEncoder(Small, batch_size=3, **params).fit_transform(pictures)
    encoder = TimmEncoder(Small, batch_size=16, **params).fit(pictures)
    with pytest.warns(RuntimeWarning, match=r"16 rows at a time: going on with 4"):
        np.testing.assert_array_equal(encoder.transform(pictures), expected)


def test_auto_on_the_cpu(pictures, monkeypatch):
    monkeypatch.setattr(embedding_module, "CPU_BATCH_SIZE", 7)
    params = {"pretrained": False, "image_size": 32, "cache": None, "device": "cpu"}
    seen = []

    class Watching(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.mean((2, 3))

    TimmEncoder(Watching, batch_size="auto", **params).fit_transform(pictures)
    assert seen == [1, 7, 7, 7, 3]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_auto_on_cuda(pictures):
    params = {"image_size": 32, "cache": None, "precision": "float32"}
    expected = TimmEncoder(device="cpu", **params).fit_transform(pictures)
    encoder = TimmEncoder(device="cuda", batch_size="auto", **params).fit(pictures)
    np.testing.assert_allclose(encoder.transform(pictures), expected, atol=1e-2)


@pytest.mark.parametrize("value", ["fast", 0, -1, 2.5, True, None])
def test_bad_batch_size(pictures, value):
    encoder = TimmEncoder(batch_size=value, image_size=32, cache=None)
    with pytest.raises(ValueError, match="batch_size must be 'auto' or a whole number"):
        encoder.transform(pictures)


@pytest.mark.parametrize("size", [4096, (32, 10_000)])
def test_a_size_that_takes_the_machines_memory_is_refused(size):
    with pytest.raises(ValueError, match="image_size must be of at most 2048 pixels"):
        TimmEncoder(image_size=size).fit([np.zeros((8, 8, 3), np.uint8)])
