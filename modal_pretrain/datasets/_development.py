"""Two data sets that this project was developed on.

Both are folders with a ``metadata.csv`` that the package does not bring; the names stay
for the configurations and records that hold them.
"""

from __future__ import annotations

import os

from modal_pretrain._identity import expanded
from modal_pretrain.datasets._modality import holds
from modal_pretrain.datasets.csv_file import load_csv
from modal_pretrain.datasets.grouped import GroupedDataset


@holds("image")
def rare_subclasses(root: str | os.PathLike[str]) -> GroupedDataset:
    """Pictures of animals and vehicles, some kinds of which are rare in train."""
    return load_csv(
        expanded(root, "root") / "metadata.csv",
        image="filename",
        target="target",
        attribute="subclass",
        split="split",
        disambiguating="rare",
        name="rare subclasses",
    )


@holds("text")
def snippets(root: str | os.PathLike[str]) -> GroupedDataset:
    """Sentences with a sentiment, some kinds of text rare in train."""
    return load_csv(
        expanded(root, "root") / "metadata.csv",
        text="text",
        target="target",
        attribute="domain",
        split="split",
        disambiguating="rare",
        name="snippets",
    )
