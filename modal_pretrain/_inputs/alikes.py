"""Labels that look like a class and count as another."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import Any

import numpy as np

from modal_pretrain._inputs.spelling import near_alikes

_PACKAGE = "modal_pretrain."
_WRITTEN_NAN = ["nan", "<NA>", "NaT"]


def warn_of_near_alikes(strange: list[Any], known: Iterable[Any], name: str) -> None:
    """Warn of unknown labels that differ from a class in how they are typed only."""
    texts = [label for label in known if isinstance(label, str)]
    for label in dict.fromkeys(strange):
        pairs = (near_alikes((text, label)) for text in texts if isinstance(label, str))
        alike = next((pair for pair in pairs if pair is not None), None)
        if alike is not None:
            warnings.warn(
                f"{name} has the label {label!r} {strange.count(label)} times, which "
                f"counts as wrong beside the model's class {alike[0]!r}. If they are "
                "one class, give it one spelling.",
                UserWarning,
                stacklevel=frames_of_ours() + 1,
            )


def warn_of_spelling(labels: list[Any], known: set[Any], name: str) -> None:
    """Warn of "Cat" among labels where "cat" alone is known: they are never equal."""
    strange = [label for label in labels if label not in known]
    texts = [x for x in [*known, *dict.fromkeys(strange)] if isinstance(x, str)]
    if near_alikes(texts) is not None:  # each with each would be slow for many classes
        warn_of_near_alikes(strange, known, name)


def warn_of_written_nan(labels: np.ndarray | list[Any], name: str) -> None:
    """Warn of "nan" and the like: NumPy, and str(), write them for a missing label."""
    if isinstance(labels, list):
        texts = labels
    else:
        kind = labels.dtype.kind
        if not labels.size or not (kind == "U" or isinstance(labels.flat[0], str)):
            return
        texts = labels.ravel()[np.isin(labels.ravel(), _WRITTEN_NAN)].tolist()
    for text in _WRITTEN_NAN:
        if text in texts:
            warnings.warn(
                f"{name} holds the text {text!r} (count: {texts.count(text)}), which "
                "counts as any other. Arrays of strings, and str(), make it of a "
                "missing value: leave such rows out, or pass None where some may be "
                "unknown.",
                UserWarning,
                stacklevel=frames_of_ours() + 1,
            )


def frames_of_ours() -> int:
    """Count the frames from the caller's to the first outside this package."""
    frame: FrameType | None = sys._getframe(1)
    n = 0
    while frame and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame, n = frame.f_back, n + 1
    return n
