"""Data sets with a class, a second attribute and a split."""

from modal_pretrain.datasets.grouped import GroupedDataset

__all__ = ["GroupedDataset"]
