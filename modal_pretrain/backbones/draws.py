"""Networks that compute something else each time, in evaluation mode too."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from modal_pretrain.backbones.traced import generators

# Above what a device's order of sums does to one batch, as a share of the largest.
_SAME = 1e-2

Launched = tuple[torch.Tensor, torch.Tensor]


def warning_of_draws(
    parts: Iterable[Iterable[Launched]],
    apply: Callable[[torch.Tensor, torch.dtype], torch.Tensor],
    dtype: torch.dtype,
    backbone: nn.Module,
) -> Iterator[Launched]:
    """Yield inputs and outputs of batches; warn where the first is random.

    A generator that moved is no proof: other threads draw, and a network may seed what
    it draws from. So the first batch is computed again then.

    Parameters
    ----------
    parts : iterable of iterables of (torch.Tensor, torch.Tensor)
        Computed as they are asked for.
    apply : callable
        Computes the output of inputs in a type.
    dtype : torch.dtype
        That of the outputs in `parts`.
    backbone : torch.nn.Module
        For the message.
    """
    launches = itertools.chain.from_iterable(parts)
    before = generators()
    for inputs, output in itertools.islice(launches, 1):
        if generators() != before:
            _warn_if_other(output, apply(inputs, dtype), backbone)
        yield inputs, output
    yield from launches


def is_sampled(backbone: nn.Module) -> bool:
    """Say whether this thread samples networks by dropout, as BALD does.

    What they compute belongs to one sample: it is no embedding to keep, and no network
    to convert.
    """
    patched = (vars(module).get("forward") for module in backbone.modules())
    return any(getattr(one, "samples", bool)() for one in patched)


def _warn_if_other(one: torch.Tensor, other: torch.Tensor, backbone: nn.Module) -> None:
    largest = float(one.abs().max())
    share = float((one - other).abs().max()) / largest if largest else 0.0
    if share > _SAME:
        warnings.warn(
            f"The backbone {type(backbone).__name__} draws random numbers in "
            "evaluation mode: embeddings of the same rows differ from pass to pass by "
            f"up to {share:.0%} of the largest number. Does it call "
            "functional.dropout without training=self.training, or mask or sample "
            "its input? Switch that off where self.training is False.",
            UserWarning,
            stacklevel=2,
        )
