"""What a backbone was, for whoever loads it again by its name or path."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import nn

from modal_pretrain.backbones.fingerprint import fingerprint

# Beyond how another processor or version rounds what is drawn or resampled, and below
# what a step of training changes.
_ROUNDING = 1e-5


class RememberedWeights:
    """The weights of a backbone and how it reads its input, in a few bytes.

    A fingerprint tells two networks apart, but names versions and code as well, so that
    an update would look like other weights. Norms tell those.

    Parameters
    ----------
    backbone : torch.nn.Module
    preparation : object, default=None
        How rows become its input; its ``stated_parameters`` count, if it has some.
    """

    # Also in pickles that are older than these.
    _changing: frozenset[str] = frozenset()
    _stated: Any = None

    def __init__(self, backbone: nn.Module, preparation: Any = None) -> None:
        self._stated = _stated(backbone, preparation)
        self._fingerprint = fingerprint(backbone)
        self._names, self._norms = _norms(backbone)

    def leave_out_changed(self, backbone: nn.Module) -> None:
        """Leave out what a pass has changed or added, such as a counter or a cache."""
        found = fingerprint(backbone)
        if found == self._fingerprint:
            return
        self._fingerprint = found
        before, now = (
            dict(zip(names, norms.tolist(), strict=True))
            for names, norms in ((self._names, self._norms), _norms(backbone))
        )
        self._changing = frozenset(
            name
            for name in before.keys() | now.keys()
            # By their text, so that NaN equals NaN.
            if str(before.get(name)) != str(now.get(name))
        )
        fixed = np.array([name not in self._changing for name in self._names], bool)
        self._norms = self._norms[fixed]

    def what_differs(self, backbone: nn.Module, preparation: Any = None) -> str:
        """Say what is different in a backbone that was loaded again, "" if nothing."""
        if self._stated:  # older pickles of pictures have none
            now = _stated(backbone, preparation)
            for name in self._stated | now:
                value, then = now.get(name), self._stated.get(name)
                if value != then:
                    return f"another {name} now ({value!r}, no longer {then!r})"
        return "" if self._has_weights(backbone) else "other weights now"

    def _has_weights(self, backbone: nn.Module) -> bool:
        found = fingerprint(backbone)
        if found == self._fingerprint:
            return True
        _, norms = _norms(backbone, self._changing)
        same = len(norms) == len(self._norms) and np.allclose(
            norms, self._norms, rtol=_ROUNDING, atol=0, equal_nan=True
        )
        if same:  # the norms of a large network take a while
            self._fingerprint = found
        return bool(same)


def _stated(backbone: nn.Module, preparation: Any) -> dict[str, Any]:
    """Return what a backbone takes from files, or from timm, beside its weights."""
    found: dict[str, Any] = {}
    for part in (preparation, backbone):
        found |= getattr(part, "stated_parameters", dict)()
    return found


def _norms(
    backbone: nn.Module, left_out: Collection[str] = ()
) -> tuple[list[str], np.ndarray]:
    """Return names and L1 norms, float64 (tensors,), of the tensors of the state."""
    found = {
        name: torch.linalg.vector_norm(_widened(tensor), 1, dtype=torch.float64)
        for name, tensor in backbone.state_dict().items()
        if isinstance(tensor, torch.Tensor)
        and tensor.is_floating_point()
        and tensor.layout is torch.strided
        and name not in left_out
    }
    norms = [*found.values()]
    return [*found], torch.stack(norms).cpu().numpy() if norms else np.empty(0)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """Return numbers of 8 bits as those that PyTorch can add up."""
    return tensor.float() if tensor.element_size() == 1 else tensor
