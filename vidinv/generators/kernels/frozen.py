"""Compute operations of large channels-last layers with frozen weights, with gradients of input and styles.

If no weight needs a gradient, the gradient of a depthwise convolution is a convolution by the rotated kernel, and noise
and bias pass it through. Forward and backward pass over memory once (`fused.py`). A gradient that is differentiated
again uses torch's operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.generators.haar import haar
from vidinv.generators.kernels import fused
from vidinv.generators.ops import by_channel, by_pixel


def depthwise(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve x [N,C,h,w] channel by channel with kernel [C,1,3,3], which has no gradient."""
    return _Depthwise.apply(x, kernel)


def activate(y: Tensor, noise: Tensor, bias: Tensor) -> Tensor:
    """Apply `fused.activate` in place, with the gradient of y [N,P,D]."""
    return _Activate.apply(y, noise, bias)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Apply `functional.prelu` to x [N,C,h,w] with slope [C] or [1], which has no gradient."""
    return _PReLU.apply(x, slope.expand(x.shape[1]).contiguous())


def inverse_haar(bands: Tensor, scale: Tensor) -> Tensor:
    """Apply `fused.modulated_inverse_haar` with gradients of bands [N,4C,h,w] and scale [N,4C]."""
    return _InverseHaar.apply(bands, scale)


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _through_bend(gradient: Tensor, signed: Tensor, slope: Tensor | None = None) -> Tensor:
    """Multiply gradient [N,P,D] by the slope (default: the leaky ReLU's) where `signed` [N,P,D] is not above 0."""
    if not torch.is_grad_enabled():
        return fused.activation_gradient(gradient, signed, slope)
    factor = float(fused.SLOPE) if slope is None else slope.to(gradient.dtype)
    return torch.where(signed.detach() > 0, gradient, gradient * factor)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(kernel)
        return functional.conv2d(x, kernel, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (kernel,) = ctx.saved_tensors
        turned = kernel.flip(2, 3).to(gradient.dtype)
        return functional.conv2d(_last(gradient), turned, padding=1, groups=gradient.shape[1]), None


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, noise: Tensor, bias: Tensor) -> Tensor:
        out = fused.activate(y, noise, bias)
        ctx.mark_dirty(out)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (out,) = ctx.saved_tensors
        return _through_bend(gradient.contiguous(), out), None, None


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return functional.prelu(x, slope)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, slope = ctx.saved_tensors
        return by_channel(_through_bend(by_pixel(_last(gradient)), by_pixel(_last(x)), slope), *x.shape[2:]), None


class _InverseHaar(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bands: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(bands, scale)
        return fused.modulated_inverse_haar(bands, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        bands, scale = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return fused.haar_gradients(_last(gradient), bands, scale)
        of_scaled = haar(gradient)
        return of_scaled * scale[:, :, None, None], (of_scaled * bands).sum((2, 3))
