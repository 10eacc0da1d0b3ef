"""Names of the data sets, models and strategies that a configuration may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modAL.uncertainty import (
    entropy_sampling,
    margin_sampling,
    uncertainty_sampling,
)

from modal_pretrain import query
from modal_pretrain.classifier import PretrainedClassifier
from modal_pretrain.datasets import GroupedDataset, make_shapes

DATASETS: dict[str, Callable[..., GroupedDataset]] = {"shapes": make_shapes}

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


def load_dataset(name: str, **params: Any) -> GroupedDataset:
    """Load a data set by name.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    return _look_up(DATASETS, name, "dataset")(**params)


def make_estimator(model: str, seed: int, params: Any) -> PretrainedClassifier:
    """Build the estimator of a model; `seed` also draws a random initialisation."""
    chosen = _look_up(MODELS, model, "model")
    return PretrainedClassifier(**{**chosen, **params, "random_state": seed})


def strategy_names() -> list[str]:
    """List the strategies: modAL's, and this package's without their suffix."""
    ours = [
        name.removesuffix("_sampling")
        for name in query.__all__
        if name.endswith("_sampling")
    ]
    return sorted({*_MODAL, *ours})


def strategy(name: str) -> Callable:
    """Return a query strategy by name.

    Raises
    ------
    ValueError
        If there is no such strategy.
    """
    known = {
        name: getattr(query, f"{name}_sampling", None) for name in strategy_names()
    }
    return _look_up({**known, **_MODAL}, name, "strategy")


def _look_up(table: dict, name: str, kind: str) -> Any:
    try:
        return table[name]
    except KeyError:
        raise ValueError(
            f"There is no {kind} {name!r}; there are {', '.join(sorted(table))}."
        ) from None
