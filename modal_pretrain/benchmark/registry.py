"""Names of the data sets, models and strategies that a configuration may use."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from modAL.uncertainty import (
    entropy_sampling,
    margin_sampling,
    uncertainty_sampling,
)

from modal_pretrain import datasets, query
from modal_pretrain.datasets import GroupedDataset
from modal_pretrain.modality import lookup
from modal_pretrain.training.parameters import known_parameters

MODELS: dict[str, dict[str, Any]] = {
    "pretrained": {"pretrained": True},
    "random-init": {"pretrained": False},
}

# modAL's own, which the paper's claims are about.
_MODAL = {
    "uncertainty": uncertainty_sampling,
    "margin": margin_sampling,
    "entropy": entropy_sampling,
}


def _rare_subclasses(root: str) -> GroupedDataset:
    """Pictures of animals and vehicles, some kinds of which are rare in train."""
    return datasets.load_csv(
        Path(root) / "metadata.csv",
        image="filename",
        target="target",
        attribute="subclass",
        split="split",
        disambiguating="rare",
        name="rare subclasses",
    )


def _snippets(root: str) -> GroupedDataset:
    """Sentences with a sentiment, some kinds of text rare in train."""
    return datasets.load_csv(
        Path(root) / "metadata.csv",
        text="text",
        target="target",
        attribute="domain",
        split="split",
        disambiguating="rare",
        name="snippets",
    )


# Name -> a function of `modal_pretrain.datasets`, or one of the two above.
DATASETS: dict[str, str | Callable[..., GroupedDataset]] = {
    "shapes": "make_shapes",
    "reviews": "make_reviews",
    "waterbirds": "load_waterbirds",
    "treeperson": "load_treeperson",
    "iwildcam": "load_iwildcam",
    "amazon": "load_amazon",
    "celeba": "load_celeba",
    "metashift": "load_metashift",
    "csv": "load_csv",
    "folder": "load_folder",
    "rare-subclasses": _rare_subclasses,
    "snippets": _snippets,
}
TEXT_DATASETS = ("amazon", "reviews", "snippets")


def loader(name: str) -> Callable[..., GroupedDataset]:
    """Return the function that loads a data set.

    Parameters
    ----------
    name : str
        A key of `DATASETS`, or "module:function".

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    if ":" in name:
        return _imported(name, "dataset")
    entry = _look_up(DATASETS, name, "dataset")
    if isinstance(entry, str):
        return getattr(datasets, entry)
    return entry


def load_dataset(name: str, **params: Any) -> GroupedDataset:
    """Load a data set by name.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    return loader(name)(**params)


def check_model(name: str) -> None:
    """Raise a ValueError if there is no such model."""
    _look_up(MODELS, name, "model")


def estimator_parameters(modality: str = "image") -> list[str]:
    """List the names of the classifier's parameters."""
    return sorted(known_parameters(lookup(modality).classifier()))


def modality_of(dataset: str, params: Mapping[str, Any]) -> str:
    """Say what a data set holds, before it is loaded.

    A loader of the user's says it in an attribute ``modality``.
    """
    declared = getattr(loader(dataset), "modality", None)
    if declared is not None:
        return declared
    return "text" if dataset in TEXT_DATASETS or "text" in params else "image"


def make_estimator(
    model: str, seed: int, params: Mapping[str, Any], modality: str = "image"
) -> Any:
    """Build the classifier of a model.

    Parameters
    ----------
    model : str
        A name of `MODELS`.
    seed : int
        Draws a random initialisation too.
    params : mapping
        The classifier's parameters.
    modality : str, default="image"
        The name of a `Modality`, whose classifier is taken; "text" needs the extra
        ``text``.

    Returns
    -------
    BaseClassifier
    """
    chosen = _look_up(MODELS, model, "model")
    if chosen["pretrained"]:  # weights of the user's own may stand in for True
        chosen = {"pretrained": params.get("pretrained", True)}
    return lookup(modality).classifier()(**{**params, **chosen, "random_state": seed})


def strategy_names() -> list[str]:
    """List the strategies: modAL's, and this package's without their suffix."""
    ours = [
        name.removesuffix("_sampling")
        for name in query.__all__
        if name.endswith("_sampling")
    ]
    return sorted({*_MODAL, *ours})


def strategy(name: str) -> Callable:
    """Return a query strategy.

    Parameters
    ----------
    name : str
        One of `strategy_names`, or "module:function".

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If there is no such strategy.
    """
    if ":" in name:
        return _imported(name, "strategy")
    known = {
        name: getattr(query, f"{name}_sampling", None) for name in strategy_names()
    }
    return _look_up({**known, **_MODAL}, name, "strategy")


def _imported(name: str, kind: str) -> Callable:
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"There is no {kind} {name!r}: {error}.") from error


def _look_up(table: Mapping[str, Any], name: str, kind: str) -> Any:
    if name in table:
        return table[name]
    raise ValueError(f"There is no {kind} {name!r}; {_hint(name, table)}.")


def _hint(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    there_are = f"there are {', '.join(names)}"
    return f"did you mean {near[0]!r}? {there_are.capitalize()}" if near else there_are
