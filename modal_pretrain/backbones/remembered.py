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
        self._fixed = np.ones(len(self._norms), dtype=bool)

    def leave_out_changed(self, backbone: nn.Module) -> None:
        """Leave out what a pass has changed, such as a counter: it is no weight."""
        found = fingerprint(backbone)
        if found == self._fingerprint:
            return
        norms = _norms(backbone)
        if len(norms) == len(self._norms):
            self._fixed &= np.isclose(norms, self._norms, 0, 0, equal_nan=True)
        self._fingerprint = found

    def are_those_of(self, backbone: nn.Module) -> bool:
        """Say whether a backbone that was loaded again has these weights."""
        found = fingerprint(backbone)
        if found == self._fingerprint:
            return True
        norms = _norms(backbone)
        same = len(norms) == len(self._norms) and np.allclose(
            norms[self._fixed],
            self._norms[self._fixed],
            rtol=_ROUNDING,
            atol=0,
            equal_nan=True,
        )
        if same:  # the norms of a large network take a while
            self._fingerprint = found
        return same


def _norms(backbone: nn.Module) -> np.ndarray:
    """Return the L1 norm of each tensor of the state, float64 (tensors,)."""
    norms = [
        torch.linalg.vector_norm(_widened(tensor), 1, dtype=torch.float64)
        for tensor in backbone.state_dict().values()
        if isinstance(tensor, torch.Tensor)
        and tensor.is_floating_point()
        and tensor.layout is torch.strided
    ]
    return torch.stack(norms).cpu().numpy() if norms else np.empty(0)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """Return numbers of 8 bits as those that PyTorch can add up."""
    return tensor.float() if tensor.element_size() == 1 else tensor
