"""Data sets with a class, a second attribute and a split."""

from modal_pretrain.datasets.grouped import GroupedDataset
from modal_pretrain.datasets.shapes import make_shapes

__all__ = ["GroupedDataset", "make_shapes"]
