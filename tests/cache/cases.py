"""What the tests of the cache on disk share."""

from pathlib import Path

import numpy as np

D = 40
ENCODERS = ("a", "b")

# What the processes of these tests run: truths that any of them can name.
WORK = """
import sys
import numpy as np
from modal_pretrain.cache.sqlite import DiskStore

def truth(encoder, numbers):
    scale = 1 + (encoder == "b")
    return np.float32(numbers)[:, None] * scale + np.arange(40, dtype=np.float32)

def key(number):
    return int(number).to_bytes(16, "big")

def fill(path, encoder, numbers, block):
    store = DiskStore(path)
    store.block_rows = block
    numbers = np.asarray(numbers)
    keys = [key(n) for n in numbers]
    return store.get(encoder, keys, lambda i: truth(encoder, numbers[i]))
"""
exec(WORK)


def look_up(cache, encoder, numbers):
    """Rows, checked, and the numbers that had to be computed."""
    numbers, computed = np.asarray(numbers), []

    def compute(missing):
        assert (np.diff(missing) > 0).all()
        computed.extend(numbers[missing].tolist())
        return truth(encoder, numbers[missing])  # noqa: F821

    got = cache.get(encoder, [key(n) for n in numbers], compute)  # noqa: F821
    np.testing.assert_array_equal(got, truth(encoder, numbers))  # noqa: F821
    assert got.dtype == np.float32
    return computed


def file_of(path):
    (file,) = Path(path).glob("embeddings-*.sqlite")
    return file
