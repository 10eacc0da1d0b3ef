"""The data sets that have a name, and what they hold, said by their loaders.

``load_waterbirds`` is "waterbirds" and ``make_shapes`` "shapes": whatever this package
offers under such a name can be had by it. What a data set holds is declared where it is
loaded, by `holds`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modal_pretrain import datasets
from modal_pretrain._checks import look_up
from modal_pretrain._functions import imported
from modal_pretrain.datasets._modality import Declared, column

Loader = Callable[..., Any]

# They are made of other data, which no name or number can say.
_OF_DATA = ("make_composites", "make_rare_subclasses")
# Name -> where its loader is; nothing is imported before it is asked for.
_PLACES = {
    name.partition("_")[2].replace("_", "-"): f"modal_pretrain.datasets:{name}"
    for name in datasets.__all__
    if name.startswith(("load_", "make_")) and name not in _OF_DATA
} | {
    "rare-subclasses": "modal_pretrain.datasets._development:rare_subclasses",
    "snippets": "modal_pretrain.datasets._development:snippets",
}


def names() -> list[str]:
    """List the data sets of this package by name, sorted."""
    return sorted(_PLACES)


def loader(name: str) -> Loader:
    """Return the function that loads a data set.

    Parameters
    ----------
    name : str
        One of `names`, or "module:function".

    Returns
    -------
    callable
        It takes the data set's parameters and returns a `GroupedDataset`.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    place = name if ":" in name else look_up(_PLACES, name, "dataset")
    return imported(place, "dataset")


def modality_of(name: str, params: Mapping[str, Any]) -> str:
    """Say what a data set holds, before it is loaded.

    Parameters
    ----------
    name : str
        See `loader`.
    params : mapping
        What the loader will be given.

    Returns
    -------
    str
        The name of a modality: what the loader declares in an attribute ``modality``.
        A loader of the user's that declares nothing holds texts if it is given a
        parameter ``text``, and pictures otherwise.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    declared: Declared = getattr(loader(name), "modality", column)
    return declared if isinstance(declared, str) else declared(params)
