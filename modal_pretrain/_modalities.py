"""The modalities by name; each is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import Any

# By name: a `modal_pretrain.modality.Modality`, or the module that registers it when
# it is imported.
KNOWN: dict[str, Any] = {}


def register_module(name: str, module: str) -> None:
    """Name the module that registers a modality, to be imported when it is needed."""
    KNOWN.setdefault(name, module)


def names() -> tuple[str, ...]:
    """List the modalities that are known."""
    return tuple(KNOWN)


def lookup(name: str) -> Any:
    """Return a modality by its name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Modality

    Raises
    ------
    ValueError
        If there is none of that name.
    ImportError
        If it needs a package that is not installed.
    """
    check_name(name)
    if isinstance(KNOWN[name], str):
        importlib.import_module(KNOWN[name])
    return KNOWN[name]


def check_name(name: str) -> None:
    """Raise a ValueError unless a modality of that name is known."""
    if name not in KNOWN:
        from modal_pretrain._checks import did_you_mean  # imports NumPy, too early

        raise ValueError(
            f"modality must be one of {', '.join(KNOWN)}, got {name!r}."
            f"{did_you_mean(name, KNOWN)} Others are made known by "
            "modal_pretrain.modality.register."
        )
