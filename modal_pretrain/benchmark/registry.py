"""Names of the models and strategies that a configuration may use.

Those of the data sets are in `modal_pretrain.datasets.registry`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modal_pretrain import query
from modal_pretrain._checks import look_up
from modal_pretrain._functions import imported
from modal_pretrain._modalities import lookup
from modal_pretrain.benchmark import heads

MODELS: dict[str, dict[str, Any]] = {
    "pretrained": {"pretrained": True},
    "random-init": {"pretrained": False},
}

# modAL's own, which the paper's claims are about.
_MODAL = {
    name: f"modAL.uncertainty:{name}_sampling"
    for name in ("uncertainty", "margin", "entropy")
}
_PLACES = _MODAL | {
    name.removesuffix("_sampling"): f"modal_pretrain.query:{name}"
    for name in query.__all__
    if name.endswith("_sampling") and name.removesuffix("_sampling") not in _MODAL
}

# What the loop passes on to those that take it.
_OFFERED = ("random_state", "groups", "groups_labelled")


def check_model(name: str) -> None:
    """Raise a ValueError if there is no such model."""
    look_up(MODELS, name, "model")


def estimator_parameters(modality: str = "image") -> list[str]:
    """List the names of the classifier's parameters."""
    from modal_pretrain.training.parameters import known_parameters

    return sorted(known_parameters(lookup(modality).classifier()))


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
    chosen = look_up(MODELS, model, "model")
    if chosen["pretrained"]:  # weights of the user's own may stand in for True
        chosen = {"pretrained": params.get("pretrained", True)}
    return lookup(modality).classifier()(**{**params, **chosen, "random_state": seed})


def strategy_names() -> list[str]:
    """List the strategies: modAL's, and this package's without their suffix."""
    return sorted(_PLACES)


def strategy(name: str) -> Callable:
    """Return a query strategy.

    Parameters
    ----------
    name : str
        One of `strategy_names`, or "module:function"; "+" and a head may follow, see
        `modal_pretrain.benchmark.heads`.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If there is no such strategy, or head.
    """
    name, _ = heads.split(name)
    found = imported(_place(name), "strategy")
    try:
        signature = inspect.signature(found)
        offered = dict.fromkeys(key for key in _OFFERED if key in signature.parameters)
        signature.bind(None, None, n_instances=1, **offered)
    except (TypeError, ValueError) as error:  # ValueError: not written in Python
        raise ValueError(
            f"strategies: {name!r} must be a function that can be called as "
            f"strategy(classifier, X, n_instances=...): {error}."
        ) from error
    return found


def check_distinct(names: Iterable[str]) -> None:
    """Raise a ValueError if two names stand for one strategy and head."""
    seen: dict[tuple[str, str], str] = {}
    for name in names:
        own, head = heads.split(name)
        other = seen.setdefault((_place(own), heads.canonical(head)), name)
        if other != name:
            raise ValueError(
                f"strategies: {other!r} and {name!r} are the same, which would run "
                "twice. Leave one of them out."
            )


def _place(name: str) -> str:
    if ":" in name:
        return name
    short = name.removesuffix("_sampling")
    if short != name and name not in _PLACES and short in _PLACES:
        raise ValueError(
            f"There is no strategy {name!r}. Did you mean {short!r}? Those of the "
            "benchmark are named without '_sampling'."
        )
    return look_up(_PLACES, name, "strategy")
