"""What weights a backbone had, for whoever loads it again by its name or path."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from modal_pretrain.backbones.fingerprint import fingerprint

# Beyond how another processor or version rounds what is drawn or resampled, and below
# what a step of training changes.
_ROUNDING = 1e-5


class RememberedWeights:
    """The weights of a backbone, in a few bytes.

    A fingerprint tells two networks apart, but names versions and code as well, so that
    an update would look like other weights. Norms tell those.

    Parameters
    ----------
    backbone : torch.nn.Module
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._fingerprint = fingerprint(backbone)
        self._norms = _norms(backbone)

    def are_those_of(self, backbone: nn.Module) -> bool:
        """Say whether a backbone that was loaded again has these weights."""
        found = fingerprint(backbone)
        if found == self._fingerprint:
            return True
        norms = _norms(backbone)
        same = len(norms) == len(self._norms) and np.allclose(
            norms, self._norms, rtol=_ROUNDING, atol=0, equal_nan=True
        )
        if same:  # the norms of a large network take a while
            self._fingerprint = found
        return same


def _norms(backbone: nn.Module) -> np.ndarray:
    """Return the L1 norm of each tensor of the state, float64 (tensors,)."""
    norms = [
        torch.linalg.vector_norm(tensor, 1, dtype=torch.float64)
        for tensor in backbone.state_dict().values()
        if isinstance(tensor, torch.Tensor)
        and tensor.is_floating_point()
        and tensor.layout is torch.strided
    ]
    return torch.stack(norms).cpu().numpy() if norms else np.empty(0)
