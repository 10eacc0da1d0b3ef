"""Data sets with a class, a second attribute and a split."""

from typing import TYPE_CHECKING

from modal_pretrain._lazy import attach

if TYPE_CHECKING:
    from modal_pretrain.datasets.amazon import load_amazon
    from modal_pretrain.datasets.celeba import load_celeba
    from modal_pretrain.datasets.civilcomments import load_civilcomments
    from modal_pretrain.datasets.composites import make_composites
    from modal_pretrain.datasets.csv_file import load_csv
    from modal_pretrain.datasets.folder import load_folder
    from modal_pretrain.datasets.grouped import GroupedDataset
    from modal_pretrain.datasets.huggingface import from_huggingface
    from modal_pretrain.datasets.iwildcam import load_iwildcam
    from modal_pretrain.datasets.metashift import load_metashift
    from modal_pretrain.datasets.rare_subclasses import make_rare_subclasses
    from modal_pretrain.datasets.reviews import make_reviews
    from modal_pretrain.datasets.shapes import make_shapes
    from modal_pretrain.datasets.torchvision_data import from_torchvision
    from modal_pretrain.datasets.treeperson import load_treeperson
    from modal_pretrain.datasets.waterbirds import load_waterbirds

__all__ = [
    "GroupedDataset",
    "from_huggingface",
    "from_torchvision",
    "load_amazon",
    "load_celeba",
    "load_civilcomments",
    "load_csv",
    "load_folder",
    "load_iwildcam",
    "load_metashift",
    "load_treeperson",
    "load_waterbirds",
    "make_composites",
    "make_rare_subclasses",
    "make_reviews",
    "make_shapes",
]

__getattr__, __dir__ = attach(__name__)
