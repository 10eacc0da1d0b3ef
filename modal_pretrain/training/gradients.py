"""Gradients of some convolutions on CPUs, several times faster than oneDNN's.

Two kinds fill the last stages of small networks (PyTorch 2.13 on CPUs):

- Depthwise kernels of more than three columns, whose gradient takes tens of times as
  long as up to three. Columns are independent: two or three are asked for at a time.
- Pointwise convolutions of small maps. They are products of matrices, which cost two
  thirds at 3 x 3 positions, a sixth at one, as much at 7 x 7.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# Columns of a depthwise kernel that oneDNN is quick with.
_COLUMNS = 3
# Positions of a map up to which products of matrices are at least as quick.
_POSITIONS = 49


class QuickGradients(TorchFunctionMode):
    """Inside, convolutions that train on a CPU have the quicker backward.

    Outputs are the same; gradients are, but for the order of summation.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute what PyTorch was asked for."""
        kwargs = kwargs or {}
        if func is nn.functional.conv2d:
            return _conv2d(*args, **kwargs)
        return func(*args, **kwargs)


def _conv2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> torch.Tensor:
    trains = weight.requires_grad and torch.is_grad_enabled()
    plain = input.device.type == "cpu" and input.dtype == weight.dtype == torch.float32
    if trains and plain and input.ndim == 4 and not isinstance(padding, str):
        strides, paddings = _pair(stride), _pair(padding)
        depthwise = groups > 1 and weight.shape[:2] == (groups, 1)
        if depthwise and weight.shape[3] > _COLUMNS and _pair(dilation) == [1, 1]:
            return _Depthwise.apply(input, weight, bias, strides, paddings)
        pointwise = groups == 1 and weight[0, 0].numel() == 1
        small = input.shape[2] * input.shape[3] <= _POSITIONS
        if pointwise and small and strides == [1, 1] and paddings == [0, 0]:
            return _Pointwise.apply(input, weight, bias)
    return nn.functional.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [*value] * (2 // len(value))


class _Pointwise(torch.autograd.Function):
    """A convolution of float32 maps (n, c, h, w) by kernels of one position."""

    @staticmethod
    def forward(
        ctx: Any,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        return nn.functional.conv2d(input, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        of_input, of_weight, of_bias = ctx.needs_input_grad
        n, _, height, width = input.shape
        grads = grad.permute(0, 2, 3, 1).flatten(0, 2)  # a row a position
        d_input = d_weight = d_bias = None
        if of_input:
            d_input = (grads @ weight.flatten(1)).view(n, height, width, -1)
            d_input = d_input.permute(0, 3, 1, 2)
        if of_weight:
            seen = input.permute(0, 2, 3, 1).flatten(0, 2)
            d_weight = (grads.T @ seen).view_as(weight)
        if of_bias:
            d_bias = grads.sum(0)
        return d_input, d_weight, d_bias


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution of float32 pictures (n, c, h, w)."""

    @staticmethod
    def forward(
        ctx: Any,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: list[int],
        padding: list[int],
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        return nn.functional.conv2d(
            input, weight, bias, stride, padding, groups=len(weight)
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        of_input, of_weight, of_bias = ctx.needs_input_grad[:3]
        d_input = d_weight = d_bias = None
        if of_input:
            d_input, _, _ = _backward(
                grad, input, weight, ctx.stride, ctx.padding, of=0
            )
        if of_weight:
            d_weight = _weight_gradient(grad, input, weight, ctx.stride, ctx.padding)
        if of_bias:
            d_bias = grad.sum((0, 2, 3))
        return d_input, d_weight, d_bias, None, None


def _weight_gradient(
    grad: torch.Tensor,
    input: torch.Tensor,
    weight: torch.Tensor,
    stride: list[int],
    padding: list[int],
) -> torch.Tensor:
    columns = weight.shape[3]
    n_strips = math.ceil(columns / _COLUMNS)
    cuts = [columns * i // n_strips for i in range(n_strips + 1)]
    # First, as a map may be narrower than what would be cut off it.
    padded = nn.functional.pad(input, (padding[1],) * 2 + (padding[0],) * 2)
    strips = []
    for start, stop in itertools.pairwise(cuts):
        # What these columns of the kernel meet, and no more; oneDNN is slow again
        # where it has to pad a picture that is smaller than the kernel.
        met = stride[1] * (grad.shape[3] - 1) + stop
        seen = nn.functional.pad(padded, (-start, met - padded.shape[3]))
        some = weight[..., start:stop]
        strips.append(_backward(grad, seen, some, stride, [0, 0], of=1)[1])
    return torch.cat(strips, dim=3)


def _backward(
    grad: torch.Tensor,
    input: torch.Tensor,
    weight: torch.Tensor,
    stride: list[int],
    padding: list[int],
    *,
    of: int,
) -> tuple[torch.Tensor, ...]:
    """Return PyTorch's gradients of input, weight and bias, all but one left out."""
    mask = [of == i for i in range(3)]
    settings = ([1, 1], False, [0, 0], len(weight), mask)
    return torch.ops.aten.convolution_backward(
        grad, input, weight, None, stride, padding, *settings
    )
