"""The network behind the classifier: a backbone, a scaling and a linear head."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn

from modal_pretrain.backbones.copies import copy_of
from modal_pretrain.backbones.output import check_embedding
from modal_pretrain.backbones.split import Split
from modal_pretrain.backbones.stages import stages

Tune = str | int

# Prior weight, in examples, of the mean variance when a feature's variance is
# estimated from few labels. With it, ten labels give a scale worth having: on
# roadwater it beats scaling by the statistics of the whole pool.
_PRIOR_EXAMPLES = 10
# A penalty by less leaves a head of zeros, and float32 cannot hold its square.
_LEAST_SHARE = 1e-15


class PretrainedNetwork(nn.Module):
    """Backbone, feature scaling, dropout and a linear head.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps inputs, such as pictures or tokens, to embeddings (n, d).
    tune : {"head", "all"} or int, default="head"
        What trains beside the head: nothing, everything, or that many last stages.
    train_batch_norm : bool, default=False
        Whether batch normalisation in trained stages keeps learning its statistics.
        False keeps those of pretraining, which small label sets would spoil.
    dropout : float, default=0.0
        Probability of dropout between embedding and head.

    Attributes
    ----------
    head : torch.nn.Linear or None
        None until the numbers of features and classes are known (`build_head`).
    """

    def __init__(
        self,
        backbone: nn.Module,
        tune: Tune = "head",
        train_batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.train_batch_norm = train_batch_norm
        self.dropout = nn.Dropout(dropout)
        self.head: nn.Linear | None = None
        self.register_buffer("mean", None)
        self.register_buffer("scale", None)
        self.register_buffer("anchor", None)
        trained = trained_parameters(backbone, tune)
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name in trained)
        self.frozen = not trained
        # By the form of the input and what trains, see
        # `modal_pretrain.training.staged`. None is ever taken out.
        self.cuts: dict[Any, Split | None] = {}

    def build_head(
        self,
        n_features: int,
        n_classes: int,
        device: torch.device | str | None = None,
    ) -> None:
        """Add a head of zeros, as the paper does: all classes equally likely."""
        self.head = nn.Linear(n_features, n_classes, device=device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.mean = torch.zeros(n_features, device=device)
        self.scale = torch.ones(n_features, device=device)
        self.set_anchor()

    def state_dict(self, *args, **kwargs):
        """Return the state, see PyTorch, in a memory format that safetensors takes."""
        state = super().state_dict(*args, **kwargs)
        for key, tensor in state.items():
            state[key] = tensor.contiguous()
        return state

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        # A compiled network comes here too, not by load_state_dict.
        weight = state_dict.get(f"{prefix}head.weight")
        if self.head is None and weight is not None:
            n_classes, n_features = weight.shape
            self.build_head(n_features, n_classes, weight.device)
        if self.frozen:  # other estimators share it
            self.backbone = copy_of(self.backbone)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _apply(self, fn, *args, **kwargs):
        state = itertools.chain(self.backbone.parameters(), self.backbone.buffers())
        if self.frozen and any(fn(tensor) is not tensor for tensor in state):
            # As half() for an export: others compute with the same backbone.
            self.backbone = copy_of(self.backbone)
        return super()._apply(fn, *args, **kwargs)

    def fit_scale(
        self, embedding: torch.Tensor, weight: np.ndarray | None = None
    ) -> None:
        """Centre and scale features by the training embeddings (n, d).

        The variance of a feature is shrunk towards the mean variance by as much as
        ten examples weigh, so that it is safe from a single label on. A row of weight
        k counts as k rows.
        """
        self.mean, self.scale = centre_and_scale(embedding.to(self.scale), weight)

    def set_anchor(self) -> None:
        """Make the present head the point that the penalty pulls to."""
        assert self.head is not None
        self.anchor = self.head.weight.detach().clone()

    def penalty(self, share: float = 1.0) -> torch.Tensor:
        """Half the squared distance of the head's weights from the anchor.

        Parameters
        ----------
        share : float, default=1.0
            What to divide it by: C times the weight of all rows, if it is added to
            their mean loss.
        """
        assert self.head is not None
        distance = (self.head.weight - self.anchor).square().sum()
        return 0.5 * distance / max(share, _LEAST_SHARE)

    def forward(
        self,
        inputs: torch.Tensor | None = None,
        embedding: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
        cut: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return logits (n, classes).

        Parameters
        ----------
        inputs : torch.Tensor of shape (n, ...)
            As the backbone takes them; or
        embedding : torch.Tensor of shape (n, d)
            The backbone's output; or
        features : torch.Tensor of shape (n, ...)
            What its frozen stages return, at one of the `cuts`: that
        cut : torch.Tensor of shape (n,)
            has this number, in all rows.

        Returns
        -------
        torch.Tensor
        """
        if features is not None:
            assert cut is not None
            output = self._rest_behind(int(cut[0]))(features)
            embedding = check_embedding(output, self, len(features))
        elif embedding is None:
            assert inputs is not None
            output = self.backbone(inputs)
            embedding = check_embedding(output, self.backbone, len(inputs))
        assert self.head is not None
        embedding = (embedding.float() - self.mean) * self.scale
        return self.head(self.dropout(embedding))

    def _rest_behind(self, number: int) -> nn.Module:
        # Not by the shape: what a callback freezes and thaws moves the cut, and blocks
        # of one width return what looks the same.
        cut = [*self.cuts.values()][number]
        assert cut is not None
        cut.follow()
        return cut.rest

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cuts": {}}  # traced again where they are needed

    def train(self, mode: bool = True) -> PretrainedNetwork:
        """Set the mode; what is frozen stays in evaluation mode."""
        if self.frozen:
            # L-BFGS asks at every evaluation: do not walk the whole backbone again.
            self.training = mode
            for child in self.children():
                if child is not self.backbone:
                    child.train(mode)
                elif child.training:
                    child.eval()
            return self
        super().train(mode)
        if mode:
            kinds: dict[nn.Module, set[bool]] = {}
            _note_weights(self.backbone, kinds)
            self._rest(self.backbone, self.frozen, kinds)
        return self

    def _rest(
        self, module: nn.Module, frozen: bool, kinds: dict[nn.Module, set[bool]]
    ) -> None:
        """Set what is frozen to evaluation mode; without weights, as the parent is."""
        if kinds[module]:
            frozen = True not in kinds[module]
        is_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if frozen or (is_norm and not self.train_batch_norm):
            module.eval()
            return
        for child in module.children():
            self._rest(child, frozen, kinds)


def _note_weights(module: nn.Module, kinds: dict[nn.Module, set[bool]]) -> set[bool]:
    """Note of a module and all in it whether its weights train; none if it has none."""
    own = module._parameters.values()
    found = {weight.requires_grad for weight in own if weight is not None}
    for child in module.children():
        found |= _note_weights(child, kinds)
    kinds[module] = found
    return found


def centre_and_scale(
    embedding: torch.Tensor, weight: np.ndarray | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `PretrainedNetwork.fit_scale` subtracts and multiplies by, (d,)."""
    n: float = len(embedding)
    mean = embedding.mean(dim=0)
    if weight is None:
        variance = embedding.var(dim=0, unbiased=False)
    else:
        n = float(weight.sum())
        share = torch.from_numpy(weight / n).to(embedding)
        mean = share @ embedding
        variance = share @ (embedding - mean).square()
    if not torch.isfinite(variance).all():
        raise ValueError(
            "The backbone's embeddings are as large as "
            f"{float(embedding.abs().max()):.3g}: float32 cannot hold their squares. "
            "Divide its output, or normalise it."
        )
    shrunk = (n * variance + _PRIOR_EXAMPLES * variance.mean()) / (n + _PRIOR_EXAMPLES)
    return mean, torch.where(shrunk > 0, shrunk, 1.0).rsqrt()


def trained_parameters(backbone: nn.Module, tune: Tune) -> set[str]:
    """Name the backbone's parameters that `tune` trains.

    Raises
    ------
    ValueError
        If `tune` is neither "head" nor "all" nor a number of stages it has.
    """
    if tune == "head":
        return set()
    if tune == "all":
        return {name for name, _ in backbone.named_parameters()}
    found = stages(backbone)
    is_count = isinstance(tune, int | np.integer) and not isinstance(tune, bool)
    if not is_count or not 1 <= tune <= len(found):  # type: ignore[operator]
        raise ValueError(
            "tune must be 'head' (backbone frozen), 'all', or the number of last "
            f"stages to train, from 1 to {len(found)} for {type(backbone).__name__}; "
            f"got {tune!r}."
        )
    return {name for stage in found[-tune:] for name in stage}  # type: ignore[operator]
