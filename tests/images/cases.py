"""What the tests of this folder share."""

import numpy as np
import pandas as pd
import torch
from PIL import Image

from modal_pretrain.images.preprocessing import Preprocessing

H, W, N = 7, 9, 5
# Of a backbone as timm describes it.
CONFIG = {
    "input_size": (3, 64, 64),
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "crop_pct": 0.875,
    "crop_mode": "center",
}
TO_8 = Preprocessing.from_data_config(CONFIG, 8)


def photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    smooth = np.array(Image.fromarray(coarse).resize((width, height), 3))
    return smooth ^ rng.integers(0, 8, smooth.shape, dtype=np.uint8)


def objects(items):
    """Object array that NumPy does not try to look into."""
    array = np.empty(len(items), dtype=object)
    for k, item in enumerate(items):
        array[k] = item
    return array


def first_channels(X):
    return np.ascontiguousarray(X.transpose(0, 3, 1, 2))


def as_float(X, dtype=np.float32):
    return first_channels(X).astype(dtype) / dtype(255)


def as_paths(X, folder):
    paths = []
    for k, picture in enumerate(X):
        paths.append(folder / f"{k}.png")
        Image.fromarray(picture).save(paths[-1])
    return paths


def as_memmap(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


KINDS = {
    "uint8": lambda X, _: X,
    "uint8 with alpha": lambda X, _: np.insert(X, 3, 255, axis=-1),
    "uint8 Fortran order": lambda X, _: np.asfortranarray(X),
    "uint16": lambda X, _: X.astype(np.uint16) * 257,
    "uint16 big endian": lambda X, _: (X.astype(np.uint16) * 257).astype(">u2"),
    "float16": lambda X, _: as_float(X).astype(np.float16),
    "float32": lambda X, _: as_float(X),
    "float64": lambda X, _: as_float(X, np.float64),
    "float32 big endian": lambda X, _: as_float(X).astype(">f4"),
    "memory-mapped": as_memmap,
    "float memory-mapped": lambda X, folder: as_memmap(as_float(X), folder),
    "tensor": lambda X, _: torch.from_numpy(X),
    "float tensor": lambda X, _: torch.from_numpy(as_float(X)),
    "float tensor with gradient": lambda X, _: torch.from_numpy(
        as_float(X)
    ).requires_grad_(),
    "float tensor channels last": lambda X, _: torch.from_numpy(as_float(X)).to(
        memory_format=torch.channels_last
    ),
    "list of arrays": lambda X, _: list(X),
    "tuple of arrays": lambda X, _: tuple(X),
    "list of float arrays": lambda X, _: list(as_float(X)),
    "list of tensors": lambda X, _: list(torch.from_numpy(X)),
    "list of float tensors": lambda X, _: list(torch.from_numpy(as_float(X))),
    "object array of arrays": lambda X, _: objects(list(X)),
    "object array, n-dimensional": lambda X, _: X.astype(object),
    "nested lists": lambda X, _: X.tolist(),
    "nested lists of floats": lambda X, _: as_float(X).tolist(),
    "list of PIL": lambda X, _: [Image.fromarray(x) for x in X],
    "object array of PIL": lambda X, _: objects([Image.fromarray(x) for x in X]),
    "list of Path": as_paths,
    "list of str": lambda X, folder: [str(p) for p in as_paths(X, folder)],
    "array of str": lambda X, folder: np.array([str(p) for p in as_paths(X, folder)]),
    "object array of str": lambda X, folder: objects(
        [str(p) for p in as_paths(X, folder)]
    ),
    "object array of Path": lambda X, folder: objects(as_paths(X, folder)),
    "column of str": lambda X, folder: np.array(
        [[str(p)] for p in as_paths(X, folder)]
    ),
    "Series of Path": lambda X, folder: pd.Series(
        as_paths(X, folder), index=range(3, 8)
    ),
    "Series of str": lambda X, folder: pd.Series([str(p) for p in as_paths(X, folder)]),
    "Series of category": lambda X, folder: pd.Series(
        [str(p) for p in as_paths(X, folder)], dtype="category"
    ),
    "Index": lambda X, folder: pd.Index([str(p) for p in as_paths(X, folder)]),
    "DataFrame": lambda X, folder: pd.DataFrame({"path": as_paths(X, folder)}),
}
